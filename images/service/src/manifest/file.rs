//! `service.toml`, as authors write it. Its schema is told in
//! `docs/package.md`.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::bounds::{self, Fault};

/// Most bytes of a `service.toml`.
pub const MAX_FILE_LEN: usize = 512 << 10;

/// The contents of a `service.toml`; everything may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Absolute path of the program.
    pub entrypoint: Option<String>,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Absolute path of the directory it starts in.
    pub workdir: Option<String>,
    /// Memory in bytes.
    pub memory: Option<u64>,
}

/// A fault in a `service.toml`, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct FileError {
    /// The file, as the caller named it.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// The file as it is written, with the place of every value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    entrypoint: Option<Spanned<String>>,
    args: Option<Spanned<Vec<String>>>,
    env: Option<Spanned<BTreeMap<String, String>>>,
    workdir: Option<Spanned<String>>,
    memory: Option<Spanned<String>>,
}

impl File {
    /// Reads the file; `name` is what errors call it.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, FileError> {
        let fail = |text: &[u8], at: usize, message: String| {
            let (line, column) = position(text, at);
            FileError {
                file: name.to_owned(),
                line,
                column,
                message,
            }
        };
        if bytes.len() > MAX_FILE_LEN {
            let message = format!("the file is larger than {MAX_FILE_LEN} bytes");
            return Err(fail(&[], 0, message));
        }
        let text = str::from_utf8(bytes)
            .map_err(|e| fail(bytes, e.valid_up_to(), "this is not UTF-8".to_owned()))?;
        let written: Written = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            fail(bytes, at, error.message().to_owned())
        })?;
        written
            .checked()
            .map_err(|(field, span, fault)| fail(bytes, span.start, format!("{field}: {fault}")))
    }
}

type Placed = (&'static str, Range<usize>, Fault);

impl Written {
    fn checked(self) -> Result<File, Placed> {
        let memory = check("memory", self.memory.as_ref(), |text| {
            bounds::parse_memory(text)
        })?;
        check("entrypoint", self.entrypoint.as_ref(), |path| {
            bounds::path(path, false)
        })?;
        check("args", self.args.as_ref(), |args| bounds::args(args))?;
        check("env", self.env.as_ref(), bounds::env)?;
        check("workdir", self.workdir.as_ref(), |path| {
            bounds::path(path, true)
        })?;
        Ok(File {
            entrypoint: self.entrypoint.map(Spanned::into_inner),
            args: self.args.map(Spanned::into_inner).unwrap_or_default(),
            env: self.env.map(Spanned::into_inner).unwrap_or_default(),
            workdir: self.workdir.map(Spanned::into_inner),
            memory,
        })
    }
}

fn check<T, V>(
    field: &'static str,
    value: Option<&Spanned<T>>,
    check: impl FnOnce(&T) -> Result<V, Fault>,
) -> Result<Option<V>, Placed> {
    let Some(value) = value else { return Ok(None) };
    check(value.get_ref())
        .map(Some)
        .map_err(|fault| (field, value.span(), fault))
}

/// Line and column of a byte, both counted from 1.
fn position(text: &[u8], at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let line_start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    (
        line,
        String::from_utf8_lossy(&before[line_start..])
            .chars()
            .count()
            + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        File::parse("service.toml", text.as_bytes())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn whole_file_is_read() {
        let file = File::parse(
            "service.toml",
            br#"
entrypoint = "/usr/bin/python3"
args = ["-m", "http.server"]
workdir = "/srv"
memory = "512M"

[env]
PATH = "/usr/bin"
"#,
        )
        .unwrap();
        assert_eq!(file.entrypoint.as_deref(), Some("/usr/bin/python3"));
        assert_eq!(file.args, ["-m", "http.server"]);
        assert_eq!(file.env["PATH"], "/usr/bin");
        assert_eq!(file.workdir.as_deref(), Some("/srv"));
        assert_eq!(file.memory, Some(512 << 20));
        assert_eq!(File::parse("service.toml", b"").unwrap(), File::default());
    }

    #[test]
    fn errors_point_at_line_and_column() {
        assert_eq!(
            error("args = []\nentrypont = \"/x\"\n"),
            "service.toml:2:1: unknown field `entrypont`, expected one of `entrypoint`, `args`, \
             `env`, `workdir`, `memory`"
        );
        assert_eq!(
            error("# ü\n  memory = \"lots\""),
            "service.toml:2:12: memory: `lots` is not a size: write a number of MiB or GiB such \
             as \"256M\" or \"2G\""
        );
        assert_eq!(
            error("entrypoint = \"bin/sh\""),
            "service.toml:1:14: entrypoint: `bin/sh` is not an absolute path without `.`, `..`, \
             `//` or a `/` at its end"
        );
        assert_eq!(
            error("args = [\"a\", 3]"),
            "service.toml:1:14: invalid type: integer `3`, expected a string"
        );
        assert!(error("env = { \"a=b\" = \"\" }").starts_with("service.toml:1:7: env: `a=b`"));
        assert_eq!(
            error("args = []\nargs = []"),
            "service.toml:2:1: duplicate key"
        );
        let error = File::parse("x", b"a = 1 # \xff").unwrap_err();
        assert_eq!(error.to_string(), "x:1:9: this is not UTF-8");
    }
}
