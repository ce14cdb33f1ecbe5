//! Levels of the x86-64 instruction set, as the psABI defines them.

use std::fmt;
use std::str::FromStr;

use super::Descriptor;

/// A level; a higher one includes the lower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What every x86-64 processor has.
    #[default]
    V1,
    /// SSE4.2, POPCNT, CMPXCHG16B.
    V2,
    /// AVX2, BMI, FMA.
    V3,
    /// AVX-512.
    V4,
}

impl Level {
    /// All, the lowest first.
    pub const ALL: [Self; 4] = [Self::V1, Self::V2, Self::V3, Self::V4];

    /// The tag by which a specification names it.
    pub fn tag(self) -> &'static str {
        match self {
            Self::V1 => "x86-64-v1",
            Self::V2 => "x86-64-v2",
            Self::V3 => "x86-64-v3",
            Self::V4 => "x86-64-v4",
        }
    }

    /// The lowest level that an architecture names. The names that others have
    /// for x86-64 mean the first; nothing if no tag is known.
    pub fn of(architecture: &Descriptor) -> Option<Self> {
        let level = |tag: &String| match tag.as_str() {
            "x86-64" | "x86_64" | "amd64" | "linux/amd64" => Some(Self::V1),
            tag => tag.parse().ok(),
        };
        architecture.tags.iter().filter_map(level).min()
    }
}

impl From<Level> for Descriptor {
    fn from(level: Level) -> Self {
        Self::tag(level.tag())
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|level| level.tag() == text);
        known.ok_or_else(|| {
            let tags = Self::ALL.map(|level| format!("`{level}`")).join(", ");
            format!("`{text}` is no level of x86-64: the levels are {tags}")
        })
    }
}
