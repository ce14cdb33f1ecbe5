//! The files of a box as the specification has them.
//!
//! A branch is a file, a link or a directory with attributes. What Linux has
//! beside these is said by attributes, so that nodes that know nothing of it
//! still see a file: devices and pipes are empty files whose `mode` says what
//! they are, and a further name of a file repeats it and names the first in
//! `hard_link`.

use std::collections::BTreeMap;
use std::io;

use super::{Bytes, Map};
use crate::tree::path::{check_name, check_target};
use crate::tree::{EntryFault, Source};
use crate::wire::{Field, Form, Reader, WireError, WireFault, WireType, Writer, bytes_len};

/// How deep directories may lie within each other.
pub const MAX_DIRECTORIES: u32 = 128;

/// A directory: branches in the order of the bytes of their names.
#[derive(Clone, Debug, Default)]
pub struct Filesystem {
    /// Names are 1 to 255 bytes, without `/` and NUL, and not `.` or `..`.
    pub branches: BTreeMap<String, Branch>,
}

/// An entry of a directory.
#[derive(Clone, Debug)]
pub struct Branch {
    /// What it is.
    pub item: Item,
    /// What else there is to say.
    pub attributes: Attributes,
}

/// What a branch is.
#[derive(Clone, Debug)]
pub enum Item {
    /// The contents of a file.
    File(Source),
    /// The target of a symbolic link.
    Link(String),
    /// What is in a directory.
    Directory(Filesystem),
}

/// The attributes of a branch. Those that all branches have are numbers here
/// and decimal ASCII in messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `st_mode` of Linux: type, set-id bits, permissions.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Modification time, nanoseconds since 1970.
    pub mtime_ns: Option<i64>,
    /// A device's major number.
    pub device_major: Option<u32>,
    /// A device's minor number.
    pub device_minor: Option<u32>,
    /// Whether a device is a block device.
    pub device_is_block: Option<u32>,
    /// All others, by name.
    pub other: Map<Bytes>,
}

impl Attributes {
    /// Calls `each` with every attribute, in the order of their names.
    fn visit(&self, each: &mut dyn FnMut(&str, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let numbers: [(&str, Option<i64>); 7] = [
            ("device_is_block", self.device_is_block.map(i64::from)),
            ("device_major", self.device_major.map(i64::from)),
            ("device_minor", self.device_minor.map(i64::from)),
            ("gid", self.gid.map(i64::from)),
            ("mode", self.mode.map(i64::from)),
            ("mtime_ns", self.mtime_ns),
            ("uid", self.uid.map(i64::from)),
        ];
        let mut others = self.other.iter().peekable();
        for (name, value) in numbers {
            let Some(value) = value else { continue };
            while let Some((other, bytes)) = others.next_if(|(other, _)| other.as_str() < name) {
                each(other, bytes)?;
            }
            let mut text = [0; 20];
            each(name, decimal(value, &mut text))?;
        }
        others.try_for_each(|(name, bytes)| each(name, bytes))
    }

    fn set(&mut self, name: String, value: Vec<u8>) -> Result<(), WireFault> {
        fn number<T: std::str::FromStr + ToString>(
            name: &'static str,
            field: &mut Option<T>,
            value: &[u8],
        ) -> Result<(), WireFault> {
            let text = str::from_utf8(value).ok();
            let number = text.and_then(|text| {
                let number: T = text.parse().ok()?;
                // One spelling only: no `+`, no leading zeros.
                (number.to_string() == text).then_some(number)
            });
            let number = number.ok_or(EntryFault::BadAttribute(name))?;
            match field.replace(number) {
                None => Ok(()),
                Some(_) => Err(WireFault::Twice),
            }
        }
        match name.as_str() {
            "mode" => number("mode", &mut self.mode, &value),
            "uid" => number("uid", &mut self.uid, &value),
            "gid" => number("gid", &mut self.gid, &value),
            "mtime_ns" => number("mtime_ns", &mut self.mtime_ns, &value),
            "device_major" => number("device_major", &mut self.device_major, &value),
            "device_minor" => number("device_minor", &mut self.device_minor, &value),
            "device_is_block" => number("device_is_block", &mut self.device_is_block, &value),
            _ => match self.other.insert(name, value.into()) {
                None => Ok(()),
                Some(_) => Err(WireFault::Twice),
            },
        }
    }

    /// Whether `name` is one of those that are numbers.
    pub(crate) fn is_number(name: &str) -> bool {
        const NUMBERS: [&str; 7] = [
            "device_is_block",
            "device_major",
            "device_minor",
            "gid",
            "mode",
            "mtime_ns",
            "uid",
        ];
        NUMBERS.contains(&name)
    }
}

/// Writes a number as decimal digits.
fn decimal(value: i64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        buffer[at] = b'-';
    }
    &buffer[at..]
}

impl Filesystem {
    /// Calls `each` with every path, which begins with `/`, and its branch:
    /// each directory before what is in it, siblings in order.
    pub fn walk<'a, E>(
        &'a self,
        each: &mut dyn FnMut(&str, &'a Branch) -> Result<(), E>,
    ) -> Result<(), E> {
        self.walk_below(&mut String::new(), each)
    }

    fn walk_below<'a, E>(
        &'a self,
        path: &mut String,
        each: &mut dyn FnMut(&str, &'a Branch) -> Result<(), E>,
    ) -> Result<(), E> {
        for (name, branch) in &self.branches {
            let above = path.len();
            path.push('/');
            path.push_str(name);
            each(path, branch)?;
            if let Item::Directory(inner) = &branch.item {
                inner.walk_below(path, each)?;
            }
            path.truncate(above);
        }
        Ok(())
    }

    /// Calls `each` with the contents of every file.
    pub(super) fn visit_contents<E>(
        &mut self,
        each: &mut dyn FnMut(&mut Source) -> Result<(), E>,
    ) -> Result<(), E> {
        self.branches
            .values_mut()
            .try_for_each(|branch| match &mut branch.item {
                Item::File(source) => each(source),
                Item::Directory(inner) => inner.visit_contents(each),
                Item::Link(_) => Ok(()),
            })
    }

    /// Adds a branch after its name and what it says were checked.
    pub(crate) fn insert(&mut self, name: String, branch: Branch) -> Result<(), EntryFault> {
        check_name(name.as_bytes())?;
        if let Item::Link(target) = &branch.item {
            check_target(target.as_bytes())?;
        }
        match self.branches.insert(name, branch) {
            None => Ok(()),
            Some(_) => Err(EntryFault::Duplicate),
        }
    }

    /// Bytes of the message; the directory's path has `path_len`.
    fn encoded_len(&self, path_len: u64, form: Form) -> u64 {
        self.branches
            .iter()
            .map(|(name, branch)| bytes_len(1, branch.encoded_len(name, path_len, form)))
            .sum()
    }

    fn encode(&self, path: &mut String, out: &mut Writer<'_>) -> io::Result<()> {
        for (name, branch) in &self.branches {
            let len = branch.encoded_len(name, path.len() as u64, out.form());
            out.head(1, len)?;
            branch.encode(name, path, out)?;
        }
        Ok(())
    }

    fn decode(path: &mut String, from: &mut Reader<'_>) -> Result<Self, WireError> {
        let mut directory = Self::default();
        while let Some((number, wire)) = from.tag()? {
            if number != 1 {
                return Err(WireFault::UnknownField(number).into());
            }
            if wire != WireType::Bytes {
                return Err(WireFault::WrongType.into());
            }
            from.count_entry()?;
            let (name, branch) = from.nested(|from| Branch::decode(path, from))?;
            let at = |fault: EntryFault| WireFault::from(fault).within(&format!("{path}/{name}"));
            // The name is needed by both.
            let named = name.clone();
            directory.insert(named, branch).map_err(at)?;
        }
        Ok(directory)
    }
}

/// Numbers of a branch's fields.
const NAME: u32 = 1;
const FILE: u32 = 2;
const LINK: u32 = 3;
const DIRECTORY: u32 = 4;
const XATTRS: u32 = 5;
/// Ours, in [`Form::Blocks`] only: hash 1 and length 2 of a file's contents.
const BLOCK: u32 = 15;

impl Branch {
    fn encoded_len(&self, name: &str, path_len: u64, form: Form) -> u64 {
        let path_len = path_len + 1 + name.len() as u64;
        let item = match &self.item {
            Item::File(source) if form == Form::Blocks => bytes_len(BLOCK, block_len(source)),
            Item::File(source) => bytes_len(FILE, source.len()),
            Item::Link(target) => bytes_len(LINK, link_len(target, path_len)),
            Item::Directory(inner) => bytes_len(DIRECTORY, inner.encoded_len(path_len, form)),
        };
        let mut attributes = 0;
        // Nothing is written, so nothing fails.
        let _ = self.attributes.visit(&mut |name, value| {
            attributes += bytes_len(XATTRS, attribute_len(name, value));
            Ok(())
        });
        bytes_len(NAME, name.len() as u64) + item + attributes
    }

    fn encode(&self, name: &str, path: &mut String, out: &mut Writer<'_>) -> io::Result<()> {
        out.bytes(NAME, name.as_bytes())?;
        let above = path.len();
        path.push('/');
        path.push_str(name);
        self.encode_item(path, out)
            .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
        path.truncate(above);
        self.attributes.visit(&mut |name, value| {
            out.head(XATTRS, attribute_len(name, value))?;
            out.bytes(1, name.as_bytes())?;
            out.bytes(2, value)
        })
    }

    fn encode_item(&self, path: &mut String, out: &mut Writer<'_>) -> io::Result<()> {
        match &self.item {
            Item::File(source) if out.form() == Form::Blocks => {
                out.head(BLOCK, block_len(source))?;
                out.bytes(1, source.hash()?.as_bytes())?;
                if source.is_empty() {
                    return Ok(());
                }
                source.len().put(2, out)
            }
            Item::File(source) => {
                out.head(FILE, source.len())?;
                source.copy_to(&mut |bytes| out.out().write_all(bytes))
            }
            Item::Link(target) => {
                out.head(LINK, link_len(target, path.len() as u64))?;
                if !target.is_empty() {
                    out.bytes(1, target.as_bytes())?;
                }
                out.bytes(2, path.as_bytes())
            }
            Item::Directory(inner) => {
                out.head(DIRECTORY, inner.encoded_len(path.len() as u64, out.form()))?;
                inner.encode(path, out)
            }
        }
    }

    /// Reads a branch of the directory `path`.
    fn decode(path: &mut String, from: &mut Reader<'_>) -> Result<(String, Self), WireError> {
        let mut name: Option<String> = None;
        let mut item = None;
        // Where a link says that it lies.
        let mut place = None;
        let mut attributes = Attributes::default();
        while let Some((number, wire)) = from.tag()? {
            if wire != WireType::Bytes {
                return Err(WireFault::WrongType.into());
            }
            let twice = match (number, from.form()) {
                (NAME, _) => name.replace(from.string()?).is_some(),
                (FILE, Form::Inline) => item.replace(Item::File(from.contents()?)).is_some(),
                (BLOCK, Form::Blocks) => {
                    let source = from.nested(take_block)?;
                    from.count_contents(source.len())?;
                    item.replace(Item::File(source)).is_some()
                }
                (LINK, _) => {
                    let (target, lies) = from.nested(take_link)?;
                    place = Some(lies);
                    item.replace(Item::Link(target)).is_some()
                }
                (DIRECTORY, _) => {
                    let named = name.as_deref().unwrap_or_default();
                    let inner = Self::decode_directory(path, named, from)?;
                    item.replace(Item::Directory(inner)).is_some()
                }
                (XATTRS, _) => {
                    let (key, value) = crate::wire::take_entry::<Bytes>(from)?;
                    attributes
                        .set(key, value.0)
                        .map_err(|fault| fault.within(&entry(path, name.as_deref())))?;
                    false
                }
                (other, _) => return Err(WireFault::UnknownField(other).into()),
            };
            if twice {
                return Err(WireFault::Twice.within(&entry(path, name.as_deref())));
            }
        }
        let name = name.unwrap_or_default();
        let at = |fault: EntryFault| WireFault::from(fault).within(&format!("{path}/{name}"));
        let item = item.ok_or(EntryFault::NoItem).map_err(at)?;
        if place
            .as_ref()
            .is_some_and(|place| *place != format!("{path}/{name}"))
        {
            return Err(at(EntryFault::Misplaced(place.unwrap_or_default())));
        }
        Ok((name, Self { item, attributes }))
    }

    /// Reads a directory's branches. Links in them say where they lie, so its
    /// name must stand before them, as every canonical writer has it.
    fn decode_directory(
        path: &mut String,
        name: &str,
        from: &mut Reader<'_>,
    ) -> Result<Filesystem, WireError> {
        let above = path.len();
        path.push('/');
        path.push_str(name);
        let inner = from.nested(|from| Filesystem::decode(path, from));
        path.truncate(above);
        inner
    }
}

fn entry(path: &str, name: Option<&str>) -> String {
    format!("{path}/{}", name.unwrap_or_default())
}

fn attribute_len(name: &str, value: &[u8]) -> u64 {
    bytes_len(1, name.len() as u64) + bytes_len(2, value.len() as u64)
}

fn link_len(target: &str, path_len: u64) -> u64 {
    let target = if target.is_empty() {
        0
    } else {
        bytes_len(1, target.len() as u64)
    };
    target + bytes_len(2, path_len)
}

fn block_len(source: &Source) -> u64 {
    let len = if source.is_empty() {
        0
    } else {
        Field::field_len(&source.len(), 2, Form::Blocks)
    };
    bytes_len(1, 32) + len
}

/// A link's target and where it says that it lies.
fn take_link(from: &mut Reader<'_>) -> Result<(String, String), WireError> {
    let (mut target, mut place) = (None, None);
    while let Some((number, wire)) = from.tag()? {
        let field = match number {
            1 => &mut target,
            2 => &mut place,
            other => return Err(WireFault::UnknownField(other).into()),
        };
        if field.is_some() {
            return Err(WireFault::Twice.into());
        }
        field.insert(String::new()).take(wire, from)?;
    }
    Ok((target.unwrap_or_default(), place.unwrap_or_default()))
}

/// Contents that are elsewhere.
fn take_block(from: &mut Reader<'_>) -> Result<Source, WireError> {
    let (mut hash, mut len) = (Bytes::default(), 0_u64);
    let mut seen = [false; 2];
    while let Some((number, wire)) = from.tag()? {
        match number {
            1 => hash.take(wire, from)?,
            2 => len.take(wire, from)?,
            other => return Err(WireFault::UnknownField(other).into()),
        }
        if std::mem::replace(&mut seen[number as usize - 1], true) {
            return Err(WireFault::Twice.into());
        }
    }
    let hash = <[u8; 32]>::try_from(&hash[..])
        .map_err(|_| WireFault::OutOfRange(hash.len() as u64).within("hash"))?;
    Ok(Source::absent(blake3::Hash::from_bytes(hash), len))
}

/// Written as bytes that are a message; none where there is no branch.
impl Field for Filesystem {
    fn is_default(&self) -> bool {
        self.branches.is_empty()
    }

    fn field_len(&self, number: u32, form: Form) -> u64 {
        bytes_len(number, self.encoded_len(0, form))
    }

    fn put(&self, number: u32, out: &mut Writer<'_>) -> io::Result<()> {
        out.head(number, self.encoded_len(0, out.form()))?;
        self.encode(&mut String::new(), out)
    }

    fn take(&mut self, wire: WireType, from: &mut Reader<'_>) -> Result<(), WireError> {
        if wire != WireType::Bytes {
            return Err(WireFault::WrongType.into());
        }
        *self = from.nested(|from| Self::decode(&mut String::new(), from))?;
        Ok(())
    }
}
