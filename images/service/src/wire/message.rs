//! What a message is, and how one is declared.

use std::io::{self, Write};

use super::{Form, Limits, Reader, WireError, Writer};
use crate::tree::Source;

/// A message of the specification.
pub trait Message: Default + private::Codec {
    /// Writes it in its canonical form.
    fn write_canonical(&self, out: &mut dyn Write) -> io::Result<()> {
        self.encode(&mut Writer::new(out, Form::Inline))
    }

    /// Writes it with hash and length in place of the contents of files: what
    /// [`Message::read`] reads in the form [`Form::Blocks`].
    fn write_blocks(&self, out: &mut dyn Write) -> io::Result<()> {
        self.encode(&mut Writer::new(out, Form::Blocks))
    }

    /// Its canonical form, in memory.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Only contents of files can fail to be read; they are not for memory.
        let _ = self.write_canonical(&mut bytes);
        bytes
    }

    /// Reads it from bytes in any spelling of proto3.
    fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        Self::read(&Source::bytes(bytes), Form::Inline, Limits::default())
    }

    /// Reads it from a source, in which the contents of files stay.
    fn read(source: &Source, form: Form, limits: Limits) -> Result<Self, WireError> {
        let mut reader = Reader::new(source, form, limits)?;
        Self::decode(&mut reader)
    }
}

impl<M: Default + private::Codec> Message for M {}

pub(crate) mod private {
    use super::{Form, Reader, WireError, Writer, io};

    /// The workings, which are nobody else's.
    pub trait Codec: Sized {
        fn encoded_len(&self, form: Form) -> u64;
        fn encode(&self, out: &mut Writer<'_>) -> io::Result<()>;
        fn decode(from: &mut Reader<'_>) -> Result<Self, WireError>;
    }
}

impl<M: private::Codec> private::Codec for Box<M> {
    fn encoded_len(&self, form: Form) -> u64 {
        (**self).encoded_len(form)
    }

    fn encode(&self, out: &mut Writer<'_>) -> io::Result<()> {
        (**self).encode(out)
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, WireError> {
        M::decode(from).map(Box::new)
    }
}

/// Declares a message: its fields in ascending order of their numbers.
macro_rules! message {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* $number:literal $field:ident: $type:ty, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[serde(skip_serializing_if = "crate::wire::is_default")]
                pub $field: $type,
            )*
        }

        impl $crate::wire::Codec for $name {
            fn encoded_len(&self, form: $crate::wire::Form) -> u64 {
                let mut len = 0;
                $(
                    if !$crate::wire::Field::is_default(&self.$field) {
                        len += $crate::wire::Field::field_len(&self.$field, $number, form);
                    }
                )*
                len
            }

            fn encode(&self, out: &mut $crate::wire::Writer<'_>) -> std::io::Result<()> {
                $(
                    if !$crate::wire::Field::is_default(&self.$field) {
                        $crate::wire::Field::put(&self.$field, $number, out)?;
                    }
                )*
                Ok(())
            }

            fn decode(
                from: &mut $crate::wire::Reader<'_>,
            ) -> Result<Self, $crate::wire::WireError> {
                let mut message = Self::default();
                let mut seen = 0_u32;
                while let Some((number, wire)) = from.tag()? {
                    match number {
                        $(
                            $number => {
                                let first = seen & (1 << $number) == 0;
                                seen |= 1 << $number;
                                if !first && !<$type as $crate::wire::Field>::REPEATED {
                                    return Err($crate::wire::WireFault::Twice
                                        .within(stringify!($field)));
                                }
                                $crate::wire::Field::take(&mut message.$field, wire, from)
                                    .map_err(|error| error.within(stringify!($field)))?;
                            }
                        )*
                        other => {
                            return Err($crate::wire::WireFault::UnknownField(other).into());
                        }
                    }
                }
                Ok(message)
            }
        }
    };
}

pub(crate) use message;
