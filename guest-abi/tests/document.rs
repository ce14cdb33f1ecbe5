//! `docs/guest-abi.md` names everything that is public in this crate, and nothing that is not.
#![allow(clippy::unwrap_used, reason = "a test says no more than a panic does")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The words of a text: letters, digits, underscores.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect()
}

/// Public names and enum variants that a source file defines, its tests left out.
fn definitions(source: &str) -> impl Iterator<Item = &str> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter_map(|line| {
        let line = line.trim_start();
        let name = match line.strip_prefix("pub ") {
            Some(rest) => rest
                .split(' ')
                .find(|word| !matches!(*word, "const" | "fn" | "struct" | "enum" | "mod"))?,
            // A variant with its number.
            None => line.strip_suffix(',')?.split_once(" = ")?.0,
        };
        name.split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
    })
}

fn sources() -> Vec<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = fs::read_dir(here).unwrap();
    files
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect()
}

fn document() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join("docs/guest-abi.md")).unwrap()
}

/// What stands between backquotes.
fn quoted(document: &str) -> impl Iterator<Item = &str> {
    document.split('`').skip(1).step_by(2)
}

#[test]
fn every_public_name_is_in_the_document() {
    let document = document();
    let named: BTreeSet<&str> = quoted(&document).flat_map(words).collect();
    let sources = sources();
    let defined: BTreeSet<&str> = sources.iter().flat_map(|text| definitions(text)).collect();
    assert!(defined.len() > 100, "definitions are found: {defined:?}");
    let missing: Vec<_> = defined.difference(&named).collect();
    assert!(missing.is_empty(), "not in docs/guest-abi.md: {missing:?}");
}

#[test]
fn every_name_in_the_document_is_in_the_crate() {
    let document = document();
    let sources = sources().concat();
    let known = words(&sources);
    // Commands, paths and instructions have a space, a slash or a dash.
    let names = quoted(&document).filter(|text| !text.contains([' ', '/', '-']));
    let unknown: Vec<_> = names
        .flat_map(words)
        .filter(|word| !known.contains(word))
        .collect();
    assert!(unknown.is_empty(), "not in the crate: {unknown:?}");
}
