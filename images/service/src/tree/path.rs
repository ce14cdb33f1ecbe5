//! Paths in a box: bytes, always from the box's root.

use super::EntryFault;

/// Longest name, in bytes (`NAME_MAX`).
pub const MAX_NAME_LEN: usize = 255;

/// Longest path and longest link target, in bytes (`PATH_MAX` without NUL).
pub const MAX_PATH_LEN: usize = 4095;

/// A path from outside, taken apart: no empty names, no `.`, no `..`. A
/// leading `/` means the same as none, since nothing lies above a box's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoxPath<'a> {
    names: Vec<&'a [u8]>,
}

impl<'a> BoxPath<'a> {
    /// Parses a path such as `usr/bin/env`, `./usr/` or `/usr`.
    pub fn parse(path: &'a [u8]) -> Result<Self, EntryFault> {
        if path.len() > MAX_PATH_LEN {
            return Err(EntryFault::PathTooLong(path.len()));
        }
        let mut names = Vec::new();
        for name in path.split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." => return Err(EntryFault::DotDot),
                name => {
                    check_name(name)?;
                    names.push(name);
                }
            }
        }
        Ok(Self { names })
    }

    /// The last name and those that lead to it; nothing for the root itself.
    pub fn split_last(&self) -> Option<(&'a [u8], &[&'a [u8]])> {
        self.names
            .split_last()
            .map(|(last, parents)| (*last, parents))
    }

    /// The names from the root down.
    pub fn names(&self) -> &[&'a [u8]] {
        &self.names
    }
}

pub(crate) fn check_name(name: &[u8]) -> Result<(), EntryFault> {
    if name.len() > MAX_NAME_LEN {
        return Err(EntryFault::NameTooLong(name.len()));
    }
    let bad = matches!(name, b"" | b"." | b"..") || name.iter().any(|b| matches!(b, b'/' | 0));
    if bad {
        Err(EntryFault::BadName)
    } else {
        Ok(())
    }
}

pub(crate) fn check_target(target: &[u8]) -> Result<(), EntryFault> {
    if target.is_empty() || target.len() > MAX_PATH_LEN || target.contains(&0) {
        return Err(EntryFault::BadTarget);
    }
    Ok(())
}

/// Bytes of a name as text for people: as they are where they are printable
/// UTF-8, else escaped, so that a name can neither move a terminal's cursor
/// nor be taken for another.
pub fn display(path: &[u8]) -> String {
    match str::from_utf8(path) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => path.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_and_climbing_ones_refused() {
        let path = BoxPath::parse(b"/./usr//lib/").unwrap();
        assert_eq!(path.names(), [&b"usr"[..], b"lib"]);
        assert_eq!(BoxPath::parse(b"./").unwrap().split_last(), None);
        assert_eq!(BoxPath::parse(b"usr/../../etc"), Err(EntryFault::DotDot));
        assert_eq!(
            BoxPath::parse(&[b'a'; 256]),
            Err(EntryFault::NameTooLong(256))
        );
        assert_eq!(
            BoxPath::parse(&b"a/".repeat(2048)),
            Err(EntryFault::PathTooLong(4096))
        );
        assert_eq!(BoxPath::parse(b"a\0b"), Err(EntryFault::BadName));
    }

    #[test]
    fn names_are_shown_without_control_characters() {
        assert_eq!(display("/usr/bin/ünï".as_bytes()), "/usr/bin/ünï");
        assert_eq!(display(b"/\x1b[2J"), "/\\x1b[2J");
        assert_eq!(display(b"/\xff"), "/\\xff");
    }
}
