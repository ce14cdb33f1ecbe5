//! What the values of a manifest may be.

use std::collections::BTreeMap;

use crate::tree::MAX_PATH_LEN;

/// Memory where nothing is said: 256 MiB.
pub const DEFAULT_MEMORY: u64 = 256 << 20;
/// Memory comes in whole MiB.
pub const MEMORY_UNIT: u64 = 1 << 20;
/// Most memory, 1 TiB.
pub const MAX_MEMORY: u64 = 1 << 40;
/// Most arguments, and most variables.
pub const MAX_STRINGS: usize = 4096;
/// Most bytes of one argument or variable (`MAX_ARG_STRLEN` of Linux, NUL
/// included there).
pub const MAX_ARGUMENT_LEN: usize = 128 * 1024 - 1;
/// Most bytes of all arguments and variables together.
pub const MAX_STRINGS_LEN: usize = 240 * 1024;

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not a path in the box.
    #[error("`{0}` is not an absolute path without `.`, `..`, `//` or a `/` at its end")]
    BadPath(String),
    /// A path beyond what Linux takes.
    #[error("the path has {0} bytes, at most {MAX_PATH_LEN} are allowed")]
    PathTooLong(usize),
    /// NUL ends strings in Linux.
    #[error("`{0}` contains a NUL character")]
    Nul(String),
    /// Not a variable's name.
    #[error("`{0}` cannot be a variable's name: it may not be empty nor contain `=`")]
    BadName(String),
    /// One string too long.
    #[error("one of them has {0} bytes, at most {MAX_ARGUMENT_LEN} are allowed")]
    StringTooLong(usize),
    /// Too many strings.
    #[error("there are {0} of them, at most {MAX_STRINGS} are allowed")]
    TooMany(usize),
    /// All strings too long.
    #[error("they have {0} bytes together, at most {MAX_STRINGS_LEN} are allowed")]
    TooLong(usize),
    /// Not a size.
    #[error("`{0}` is not a size: write a number of MiB or GiB such as \"256M\" or \"2G\"")]
    BadSize(String),
    /// A size that no box can have.
    #[error("{0} bytes are not a multiple of 1 MiB between 1 MiB and 1 TiB")]
    SizeOutOfRange(u64),
}

pub(super) fn path(path: &str, root_allowed: bool) -> Result<(), Fault> {
    if path.len() > MAX_PATH_LEN {
        return Err(Fault::PathTooLong(path.len()));
    }
    no_nul(path)?;
    if path == "/" && root_allowed {
        return Ok(());
    }
    let bad = || Fault::BadPath(path.to_owned());
    let names = path.strip_prefix('/').ok_or_else(bad)?;
    if names.split('/').any(|name| matches!(name, "" | "." | "..")) {
        Err(bad())
    } else {
        Ok(())
    }
}

pub(super) fn args(args: &[String]) -> Result<(), Fault> {
    if args.len() > MAX_STRINGS {
        return Err(Fault::TooMany(args.len()));
    }
    args.iter().try_for_each(|arg| {
        if arg.len() > MAX_ARGUMENT_LEN {
            return Err(Fault::StringTooLong(arg.len()));
        }
        no_nul(arg)
    })
}

pub(super) fn env(env: &BTreeMap<String, String>) -> Result<(), Fault> {
    if env.len() > MAX_STRINGS {
        return Err(Fault::TooMany(env.len()));
    }
    env.iter().try_for_each(|(name, value)| {
        if name.is_empty() || name.contains('=') {
            return Err(Fault::BadName(name.clone()));
        }
        let len = name.len() + 1 + value.len();
        if len > MAX_ARGUMENT_LEN {
            return Err(Fault::StringTooLong(len));
        }
        no_nul(name)?;
        no_nul(value)
    })
}

pub(super) fn strings(args: &[String], env: &BTreeMap<String, String>) -> Result<(), Fault> {
    let args: usize = args.iter().map(|arg| arg.len() + 1).sum();
    let env: usize = env
        .iter()
        .map(|(name, value)| name.len() + value.len() + 2)
        .sum();
    if args + env > MAX_STRINGS_LEN {
        Err(Fault::TooLong(args + env))
    } else {
        Ok(())
    }
}

pub(super) fn memory(bytes: u64) -> Result<(), Fault> {
    let fits = (MEMORY_UNIT..=MAX_MEMORY).contains(&bytes) && bytes.is_multiple_of(MEMORY_UNIT);
    if fits {
        Ok(())
    } else {
        Err(Fault::SizeOutOfRange(bytes))
    }
}

/// Reads a size such as `256M`, `2G` or `512MiB`: powers of 1024. A unit must
/// be there, since a bare number could mean anything.
pub fn parse_memory(text: &str) -> Result<u64, Fault> {
    let bad = || Fault::BadSize(text.to_owned());
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        _ => return Err(bad()),
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    let bytes = number.checked_mul(1 << shift).ok_or_else(bad)?;
    memory(bytes)?;
    Ok(bytes)
}

fn no_nul(text: &str) -> Result<(), Fault> {
    if text.contains('\0') {
        Err(Fault::Nul(text.replace('\0', "\\0")))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_a_unit_and_is_within_bounds() {
        assert_eq!(parse_memory("256M"), Ok(256 << 20));
        assert_eq!(parse_memory("2GiB"), Ok(2 << 30));
        for text in [
            "",
            "M",
            "256",
            "256m",
            "1.5G",
            "-1M",
            "+1M",
            "1 M",
            "99999999999999999999G",
        ] {
            assert_eq!(
                parse_memory(text),
                Err(Fault::BadSize(text.to_owned())),
                "{text}"
            );
        }
        assert_eq!(parse_memory("0M"), Err(Fault::SizeOutOfRange(0)));
        assert_eq!(
            parse_memory("1025G"),
            Err(Fault::SizeOutOfRange(1025 << 30))
        );
    }

    #[test]
    fn paths_are_absolute_and_plain() {
        assert_eq!(path("/bin/sh", false), Ok(()));
        assert_eq!(path("/", true), Ok(()));
        for text in ["", "/", "bin/sh", "/bin/", "//bin", "/bin/../sh", "/./sh"] {
            assert_eq!(
                path(text, false),
                Err(Fault::BadPath(text.to_owned())),
                "{text}"
            );
        }
        assert_eq!(
            path(&"/a".repeat(2048), false),
            Err(Fault::PathTooLong(4096))
        );
    }
}
