//! `/proc/net`: the sockets that there are.

use alloc::vec::Vec;

use super::generated::{Child, Item, Subject};
use super::process::item;
use crate::errno::Result;
use crate::net::table;

/// What is in `/proc/net`.
pub(super) fn directory(_: &Subject) -> Result<Vec<Item>> {
    const ENTRIES: &[(&str, Child)] = &[
        ("dev", Child::Text(|_| Ok(table::devices()))),
        ("if_inet6", Child::Text(|_| Ok(table::v6_addresses()))),
        ("tcp", Child::Text(|_| Ok(table::inet(false, false)))),
        ("tcp6", Child::Text(|_| Ok(table::inet(true, false)))),
        ("udp", Child::Text(|_| Ok(table::inet(false, true)))),
        ("udp6", Child::Text(|_| Ok(table::inet(true, true)))),
        ("unix", Child::Text(|_| Ok(table::unix()))),
    ];
    let items = ENTRIES.iter().map(|(name, child)| item(name, *child));
    Ok(items.collect())
}
