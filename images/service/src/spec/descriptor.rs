//! Descriptors: what something is, said in three ways.

use crate::spec::Bytes;
use crate::wire::message;

message! {
    /// Names an architecture, a protocol, a network, a ledger or a format.
    #[derive(PartialEq, Eq)]
    pub struct Descriptor {
        /// Names that people agreed on.
        1 tags: Vec<String>,
        /// For people.
        2 prose: String,
        /// An exact definition, in whatever language.
        3 formal: Bytes,
    }
}

impl Descriptor {
    /// A descriptor of one tag.
    pub fn tag(tag: &str) -> Self {
        Self {
            tags: vec![tag.to_owned()],
            ..Self::default()
        }
    }

    /// Whether both mean the same: see [`matches`].
    pub fn matches(&self, other: &Self) -> bool {
        matches((&self.tags, &self.formal), (&other.tags, &other.formal))
    }
}

/// Whether two descriptors, each its tags and its formal definition, mean the
/// same. If both have a formal definition, these decide; else one common tag
/// is enough. Prose never counts.
pub fn matches(one: (&[String], &[u8]), other: (&[String], &[u8])) -> bool {
    if !one.1.is_empty() && !other.1.is_empty() {
        return one.1 == other.1;
    }
    one.0.iter().any(|tag| other.0.contains(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(tags: &[&str], prose: &str, formal: &str) -> Descriptor {
        Descriptor {
            tags: tags.iter().map(ToString::to_string).collect(),
            prose: prose.to_owned(),
            formal: formal.as_bytes().into(),
        }
    }

    #[test]
    fn formal_decides_where_both_have_it_else_one_common_tag() {
        let bitcoin = descriptor(&["bitcoin", "bitcoin-mainnet"], "a ledger", "");
        assert!(bitcoin.matches(&descriptor(&["btc", "bitcoin"], "", "genesis")));
        assert!(!bitcoin.matches(&descriptor(&["ergo"], "a ledger", "")));
        assert!(!bitcoin.matches(&descriptor(&[], "a ledger", "")));
        let formal = descriptor(&["x"], "", "genesis");
        assert!(formal.matches(&descriptor(&["y"], "other", "genesis")));
        assert!(!formal.matches(&descriptor(&["x"], "", "other")));
    }
}
