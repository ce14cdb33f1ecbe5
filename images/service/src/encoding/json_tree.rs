//! The file tree in JSON: a list of entries with their paths, each directory
//! before what is in it. A list, since readers of JSON bound how deep it nests.

use std::cell::RefCell;
use std::fmt;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::json::{CONTEXT, JsonForm};
use crate::spec::{Attributes, Branch, Bytes, Filesystem, Item, MAX_DIRECTORIES, Map};
use crate::tree::{BoxPath, EntryFault, Source};

/// An entry as it is written.
#[derive(Serialize)]
struct Written<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<Base64<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    #[serde(flatten)]
    attributes: Numbers,
    #[serde(skip_serializing_if = "Option::is_none")]
    xattrs: Option<&'a Map<Bytes>>,
}

/// An entry as it is read: a file has `file` or `size`, a link has `link`, a
/// directory none of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    path: String,
    file: Option<String>,
    size: Option<u64>,
    link: Option<String>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime_ns: Option<i64>,
    device_major: Option<u32>,
    device_minor: Option<u32>,
    device_is_block: Option<u32>,
    #[serde(default)]
    xattrs: Map<Bytes>,
}

/// The attributes that are numbers.
#[derive(Serialize)]
struct Numbers {
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime_ns: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_major: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_minor: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_is_block: Option<u32>,
}

impl Numbers {
    fn of(attributes: &Attributes) -> Self {
        Self {
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
            mtime_ns: attributes.mtime_ns,
            device_major: attributes.device_major,
            device_minor: attributes.device_minor,
            device_is_block: attributes.device_is_block,
        }
    }
}

/// Contents that are written as base64 while they are read.
struct Base64<'a> {
    source: &'a Source,
    /// Why the contents could not be read, which formatting cannot say.
    fault: RefCell<Option<io::Error>>,
}

impl fmt::Display for Base64<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Parts are encoded in multiples of three bytes; the rest waits.
        let mut rest = Vec::new();
        let mut refused = false;
        let copied = self.source.copy_to(&mut |bytes| {
            rest.extend_from_slice(bytes);
            let whole = rest.len() - rest.len() % 3;
            refused = f.write_str(&STANDARD.encode(&rest[..whole])).is_err();
            rest.drain(..whole);
            if refused {
                return Err(io::Error::other("the output refused"));
            }
            Ok(())
        });
        if let Err(error) = copied {
            self.fault.replace(Some(error));
            return Err(fmt::Error);
        }
        f.write_str(&STANDARD.encode(&rest))
    }
}

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_str(self)
            .map_err(|error| match self.fault.take() {
                Some(fault) => S::Error::custom(fault),
                None => error,
            })
    }
}

impl Serialize for Filesystem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = CONTEXT.with_borrow_mut(|context| {
            let form = context.as_mut().map(|context| &mut context.form);
            form.map_or(JsonForm::Inline, |form| {
                std::mem::replace(form, JsonForm::Inline)
            })
        });
        let mut list = serializer.serialize_seq(None)?;
        self.walk(&mut |path, branch| {
            let mut written = Written {
                path,
                file: None,
                size: None,
                link: None,
                attributes: Numbers::of(&branch.attributes),
                xattrs: Some(&branch.attributes.other).filter(|other| !other.is_empty()),
            };
            match &branch.item {
                Item::File(source) if form == JsonForm::Beside => {
                    written.size = Some(source.len());
                }
                Item::File(source) => {
                    written.file = Some(Base64 {
                        source,
                        fault: RefCell::new(None),
                    });
                }
                Item::Link(target) => written.link = Some(target),
                Item::Directory(_) => {}
            }
            list.serialize_element(&written)
        })?;
        list.end()
    }
}

impl Found {
    /// The entry's path and what it is.
    fn branch<E: de::Error>(self) -> Result<(String, Branch), E> {
        let path = self.path;
        let at = |what: &dyn fmt::Display| E::custom(format_args!("{path}: {what}"));
        for name in self.xattrs.keys() {
            if Attributes::is_number(name) {
                return Err(at(&format_args!("`{name}` is not among the xattrs")));
            }
        }
        let item = match (self.file, self.size, self.link) {
            (Some(text), None, None) => {
                let bytes = STANDARD.decode(text).map_err(|error| at(&error))?;
                Item::File(spooled(&bytes).map_err(|error| at(&error))?)
            }
            (None, Some(size), None) => Item::File(
                beside(&path, size).ok_or_else(|| at(&"there is no file of this size beside"))?,
            ),
            (None, None, Some(target)) => Item::Link(target),
            (None, None, None) => Item::Directory(Filesystem::default()),
            _ => return Err(at(&"it is more than one of file, size and link")),
        };
        let attributes = Attributes {
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            mtime_ns: self.mtime_ns,
            device_major: self.device_major,
            device_minor: self.device_minor,
            device_is_block: self.device_is_block,
            other: self.xattrs,
        };
        Ok((path, Branch { item, attributes }))
    }
}

/// Keeps decoded contents; in memory only where no spool was given.
fn spooled(bytes: &[u8]) -> io::Result<Source> {
    CONTEXT.with_borrow_mut(|context| {
        match context.as_mut().and_then(|context| context.spool.as_mut()) {
            Some(spool) => spool.add(&mut &*bytes),
            None => Ok(Source::bytes(bytes)),
        }
    })
}

/// The file of this path and size beside the document.
fn beside(path: &str, size: u64) -> Option<Source> {
    CONTEXT.with_borrow(|context| {
        let source = context.as_ref()?.files.get(path)?;
        (source.len() == size).then(|| source.clone())
    })
}

/// Takes one of the entries that are still allowed.
fn count_entry() -> bool {
    CONTEXT.with_borrow_mut(|context| match context {
        None => true,
        Some(context) => {
            let left = context.entries.checked_sub(1);
            context.entries = left.unwrap_or_default();
            left.is_some()
        }
    })
}

impl<'de> Deserialize<'de> for Filesystem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Filesystem;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of files, links and directories")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Filesystem, A::Error> {
                let mut root = Filesystem::default();
                while let Some(found) = list.next_element::<Found>()? {
                    if !count_entry() {
                        return Err(de::Error::custom("there are too many entries"));
                    }
                    let (path, branch) = found.branch()?;
                    root.insert_at(&path, branch)
                        .map_err(|fault| de::Error::custom(format_args!("{path}: {fault}")))?;
                }
                Ok(root)
            }
        }

        deserializer.deserialize_seq(List)
    }
}

impl Filesystem {
    /// Adds a branch under its path; the directory that it lies in is there.
    fn insert_at(&mut self, path: &str, branch: Branch) -> Result<(), EntryFault> {
        let parsed = BoxPath::parse(path.as_bytes())?;
        let (_, above) = parsed.split_last().ok_or(EntryFault::BadName)?;
        if above.len() >= MAX_DIRECTORIES as usize {
            let limit = MAX_DIRECTORIES;
            return Err(EntryFault::TooDeep { limit });
        }
        // Only one spelling of each path.
        let names: Vec<&str> = path
            .strip_prefix('/')
            .unwrap_or_default()
            .split('/')
            .collect();
        let (name, above) = names.split_last().ok_or(EntryFault::BadName)?;
        let mut directory = self;
        for above in above {
            directory = match directory
                .branches
                .get_mut(*above)
                .map(|found| &mut found.item)
            {
                Some(Item::Directory(inner)) => inner,
                _ => return Err(EntryFault::ParentNotDirectory),
            };
        }
        directory.insert((*name).to_owned(), branch)
    }
}
