//! Proto3: the canonical form itself.

use std::io::Write;

use super::{DecodeError, EncodeError, Encoding, Spool};
use crate::spec::Service;
use crate::tree::Source;
use crate::wire::{Form, Limits, Message};

/// The canonical form; what hashes to the id is exactly these bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Proto3;

impl Encoding for Proto3 {
    fn name(&self) -> &'static str {
        "proto3"
    }

    fn media_type(&self) -> &'static str {
        "application/x-protobuf"
    }

    fn recognises(&self, _: &[u8]) -> bool {
        false
    }

    fn write(&self, service: &Service, out: &mut dyn Write) -> Result<(), EncodeError> {
        Ok(service.write_canonical(out)?)
    }

    fn read(&self, input: &Source, _: &mut Spool) -> Result<Service, DecodeError> {
        Ok(Service::read(input, Form::Inline, Limits::default())?)
    }
}
