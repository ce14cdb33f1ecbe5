//! Small services for the tests of the store.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses a part of it"
)]

use std::collections::BTreeMap;

use unicell_service::spec::*;
use unicell_service::tree::Source;

/// A service whose files have these names (flat, in `/`) and contents.
pub fn service(prose: &str, files: &[(&str, &[u8])]) -> Service {
    let branch = |contents: &[u8]| Branch {
        item: Item::File(Source::bytes(contents)),
        attributes: Attributes::default(),
    };
    let branches: BTreeMap<String, Branch> = files
        .iter()
        .map(|(name, contents)| ((*name).to_owned(), branch(contents)))
        .collect();
    Service {
        prose: prose.to_owned(),
        container: Some(Container {
            filesystem: Filesystem { branches },
            init: Some(Init::default()),
            ..Container::default()
        }),
        ..Service::default()
    }
}
