//! Directories that are always the same, from a table of paths: `/proc/sys` and `/sys`.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::generated::{Child, Item, Subject};
use crate::errno::{Errno, Result};
use crate::fs::inode::Target;

/// What a path stands for.
pub(super) enum Value {
    /// A text, without the line feed at its end.
    Text(&'static str),
    /// A text that is made when it is read, with its line feed.
    Made(fn() -> Vec<u8>),
    /// A link.
    Link(&'static str),
    /// A directory without anything in it.
    Empty,
}

/// Paths and what they stand for. Those of one directory lie side by side.
pub(super) type Table = [(&'static str, Value)];

/// A directory or file: the first entry below it, or its own, and how many parts of that entry's
/// path lead to it.
#[derive(Clone, Copy)]
struct Place {
    entry: usize,
    depth: usize,
}

/// Paths have fewer parts than this.
const DEPTHS: usize = 16;

impl Place {
    fn of(subject: &Subject) -> Self {
        let number = subject.number as usize;
        Self {
            entry: number / DEPTHS,
            depth: number % DEPTHS,
        }
    }

    fn subject(self) -> Subject {
        Subject::of_number((self.entry * DEPTHS + self.depth) as u32)
    }
}

/// The start of a path up to its part number `depth`, with the slash behind it.
fn start(path: &'static str, depth: usize) -> &'static str {
    let mut slashes = path.match_indices('/');
    match depth {
        0 => "",
        _ => slashes.nth(depth - 1).map_or(path, |(at, _)| &path[..=at]),
    }
}

/// What is in a directory of the table. `directory` lists one, and the three others are about a
/// file of it: functions that know the table, since an entry has no room for it.
pub(super) fn list(
    table: &'static Table,
    subject: &Subject,
    directory: fn(&Subject) -> Result<Vec<Item>>,
    text: fn(&Subject) -> Result<Vec<u8>>,
    link: fn(&Subject) -> Result<Target>,
) -> Vec<Item> {
    let place = Place::of(subject);
    let above = table
        .get(place.entry)
        .map_or("", |(path, _)| start(path, place.depth));
    let below = table.iter().enumerate().skip(place.entry);
    let below = below.take_while(|(_, (path, _))| path.starts_with(above));
    let mut items: Vec<Item> = Vec::new();
    for (entry, (path, value)) in below {
        let rest = &path[above.len()..];
        let (name, is_directory) = match rest.split_once('/') {
            Some((name, _)) => (name, true),
            None => (rest, false),
        };
        if items.last().is_some_and(|last| last.0 == name) {
            continue;
        }
        let child = match value {
            _ if is_directory => Child::Directory(directory),
            Value::Text(_) | Value::Made(_) => Child::Text(text),
            Value::Link(_) => Child::Link(link),
            Value::Empty => Child::Directory(|_| Ok(Vec::new())),
        };
        let depth = place.depth + 1;
        items.push((Cow::Borrowed(name), child, Place { entry, depth }.subject()));
    }
    items
}

/// The text of a file of the table.
pub(super) fn text(table: &Table, subject: &Subject) -> Result<Vec<u8>> {
    match table.get(Place::of(subject).entry) {
        Some((_, Value::Text(text))) => Ok([text.as_bytes(), b"\n"].concat()),
        Some((_, Value::Made(make))) => Ok(make()),
        _ => Err(Errno::EINVAL),
    }
}

/// Where a link of the table leads.
pub(super) fn link(table: &Table, subject: &Subject) -> Result<Target> {
    match table.get(Place::of(subject).entry) {
        Some((_, Value::Link(target))) => Ok(Target::Path(target.as_bytes().to_vec())),
        _ => Err(Errno::EINVAL),
    }
}

/// A function that lists a table's root, and all that it needs.
macro_rules! tree {
    ($(#[$doc:meta])* $name:ident, $table:path) => {
        $(#[$doc])*
        pub(super) fn $name(
            subject: &$crate::fs::proc::generated::Subject,
        ) -> $crate::errno::Result<alloc::vec::Vec<$crate::fs::proc::generated::Item>> {
            use $crate::fs::proc::table;
            Ok(table::list(
                $table,
                subject,
                $name,
                |subject| table::text($table, subject),
                |subject| table::link($table, subject),
            ))
        }
    };
}
pub(super) use tree;

#[cfg(test)]
mod tests {
    use super::*;

    /// Paths of one directory that do not lie side by side would be listed twice.
    #[test]
    fn names_are_unique() {
        fn check(table: &'static Table, subject: &Subject) {
            let none = |_: &Subject| Ok(Vec::new());
            let items = list(
                table,
                subject,
                none,
                |_| Ok(Vec::new()),
                |_| Err(Errno::EINVAL),
            );
            let mut names: Vec<_> = items.iter().map(|item| item.0.clone()).collect();
            let count = names.len();
            assert!(count > 0);
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count, "a name occurs twice among {names:?}");
            for (name, child, subject) in &items {
                let (path, value) = &table[Place::of(subject).entry];
                let is_directory = matches!(child, Child::Directory(_));
                assert!(is_directory || path.ends_with(&**name));
                if is_directory && !matches!(value, Value::Empty) {
                    check(table, subject);
                }
            }
        }
        check(super::super::settings::SETTINGS, &Subject::default());
        check(super::super::sys::SYS, &Subject::default());
    }
}
