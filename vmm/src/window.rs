//! How large a terminal is.

use serde::{Deserialize, Serialize};

/// The size of a terminal, in characters. Zero is "not known", as everywhere in Linux.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

impl Window {
    /// As the guest ABI has it.
    pub(crate) fn to_abi(self) -> u32 {
        u32::from(self.rows) << 16 | u32::from(self.columns)
    }
}
