//! The first line of a script.

use alloc::vec::Vec;

use super::Failure;

/// The longest first line, as in Linux.
const LINE_MAX: usize = 256;

/// The interpreter and its one argument.
pub(super) type Line = (Vec<u8>, Option<Vec<u8>>);

/// The first line, if the file is a script.
///
/// # Errors
///
/// The line names no interpreter, or is too long to tell.
pub(super) fn parse(head: &[u8]) -> Result<Option<Line>, Failure> {
    let Some(line) = head.strip_prefix(b"#!") else {
        return Ok(None);
    };
    let line = &line[..line.len().min(LINE_MAX)];
    let is_blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let end = line.iter().position(|byte| *byte == b'\n' || *byte == 0);
    let text = &line[..end.unwrap_or(line.len())];
    let text = text.trim_ascii();
    let split = text.iter().position(is_blank);
    let (interpreter, rest) = text.split_at(split.unwrap_or(text.len()));
    if interpreter.is_empty() {
        return Err(Failure::NotAProgram(
            "a script without an interpreter after `#!`",
        ));
    }
    if end.is_none() && split.is_none() && line.len() == LINE_MAX {
        return Err(Failure::NotAProgram(
            "a script whose first line is too long",
        ));
    }
    let rest = rest.trim_ascii();
    let argument = (!rest.is_empty()).then(|| rest.to_vec());
    Ok(Some((interpreter.to_vec(), argument)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(head: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
        parse(head).unwrap()
    }

    #[test]
    fn the_rest_of_the_line_is_one_argument() {
        let expected = (b"/usr/bin/env".to_vec(), Some(b"-S python3  -u".to_vec()));
        assert_eq!(
            parsed(b"#! /usr/bin/env  -S python3  -u \nrest"),
            Some(expected)
        );
        assert_eq!(parsed(b"#!/bin/sh\n"), Some((b"/bin/sh".to_vec(), None)));
        assert_eq!(parsed(b"\x7fELF"), None);
    }

    #[test]
    fn a_line_without_an_interpreter_is_refused() {
        assert!(parse(b"#!  \n").is_err());
        assert!(parse(b"#!").is_err());
    }

    #[test]
    fn a_line_that_does_not_end_is_refused() {
        let long: Vec<u8> = b"#!/".iter().copied().chain([b'x'; 500]).collect();
        assert!(parse(&long).is_err());
    }
}
