//! Names for services.

use std::collections::BTreeMap;

use unicell_service::spec::ServiceId;

use crate::error::{Result, StoreError};
use crate::store::Store;

const MAX_LEN: usize = 128;

/// Fewest digits by which an id may be shortened.
const MIN_DIGITS: usize = 6;

fn check(tag: &str) -> Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/:-".contains(&byte);
    let fits = (1..=MAX_LEN).contains(&tag.len())
        && tag.bytes().all(is_plain)
        && tag.starts_with(|first: char| first.is_ascii_alphabetic())
        && tag.parse::<ServiceId>().is_err();
    if fits {
        Ok(())
    } else {
        Err(StoreError::BadTag(tag.to_owned()))
    }
}

impl Store {
    /// Gives a service a name, which is taken from whatever had it.
    pub fn tag(&self, id: ServiceId, tag: &str) -> Result<()> {
        check(tag)?;
        let _writing = self.writing();
        self.record(id)?;
        self.0.index.write(|change| change.put_tag(tag, id))
    }

    /// Takes a name away.
    pub fn untag(&self, tag: &str) -> Result<()> {
        let _writing = self.writing();
        if self.0.index.write(|change| change.remove_tag(tag))? {
            Ok(())
        } else {
            Err(StoreError::NotFound(tag.to_owned()))
        }
    }

    /// All names.
    pub fn tags(&self) -> Result<BTreeMap<String, ServiceId>> {
        self.0.index.tags()
    }

    /// The service that a tag, an id, or the beginning of an id names.
    pub fn resolve(&self, reference: &str) -> Result<ServiceId> {
        if let Some(id) = self.0.index.tag(reference)? {
            return Ok(id);
        }
        let not_found = || StoreError::NotFound(reference.to_owned());
        if let Ok(id) = reference.parse::<ServiceId>() {
            return self.record(id).map(|_| id);
        }
        let is_digits = reference.bytes().all(|byte| byte.is_ascii_hexdigit());
        if reference.len() < MIN_DIGITS || !is_digits {
            return Err(not_found());
        }
        match self.0.index.beginning(&reference.to_ascii_lowercase())?[..] {
            [] => Err(not_found()),
            [id] => Ok(id),
            _ => Err(StoreError::Ambiguous(reference.to_owned())),
        }
    }
}
