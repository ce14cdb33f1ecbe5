//! Methods and the cost function of a slot. The schema has no fields for them:
//! they are the formal definition of a protocol in the slot's stack.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Descriptor, Slot};

/// The tag of the protocol that describes an interface.
const TAG: &str = "unicell-interface";

/// What can be called at a slot, and what it costs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Interface {
    /// Methods by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub methods: BTreeMap<String, Method>,
    /// How the price of a call is found, in words or in a language of the
    /// author's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
}

/// One method.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Method {
    /// What it does, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prose: String,
    /// The structure of what it takes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub input: String,
    /// The structure of what it gives.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub output: String,
}

impl Interface {
    /// The protocol that says it: JSON in the order of the fields above, keys
    /// sorted, without white space.
    pub fn to_protocol(&self) -> Descriptor {
        Descriptor {
            // Text under text keys cannot fail to be written.
            formal: serde_json::to_vec(self).unwrap_or_default().into(),
            ..Descriptor::tag(TAG)
        }
    }

    /// The interface of a slot, if its stack has one that can be read.
    pub fn of(slot: &Slot) -> Option<Self> {
        let tagged = |protocol: &&Descriptor| protocol.tags.iter().any(|tag| tag == TAG);
        let protocol = slot.protocol_stack.iter().find(tagged)?;
        serde_json::from_slice(&protocol.formal).ok()
    }
}
