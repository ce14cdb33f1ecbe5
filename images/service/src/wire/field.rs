//! How each type of field is written and read. The type decides: a model
//! names types and field numbers, and nothing else.

use std::io;

use super::{Form, Message, Reader, WireError, WireFault, WireType, Writer};
use super::{bytes_len, tag_len, varint_len};
use crate::spec::{Bytes, Map};

type Result<T> = std::result::Result<T, WireError>;

/// A field of a message.
pub(crate) trait Field: Default {
    /// Whether it may come more than once.
    const REPEATED: bool = false;

    /// Whether it is left out.
    fn is_default(&self) -> bool;

    /// Bytes it is written with, tags and all.
    fn field_len(&self, number: u32, form: Form) -> u64;

    /// Writes it.
    fn put(&self, number: u32, out: &mut Writer<'_>) -> io::Result<()>;

    /// Reads one occurrence.
    fn take(&mut self, wire: WireType, from: &mut Reader<'_>) -> Result<()>;
}

/// For serde: whether a field is left out.
pub(crate) fn is_default<F: Field>(field: &F) -> bool {
    field.is_default()
}

fn expect(found: WireType, expected: WireType) -> Result<()> {
    if found == expected {
        Ok(())
    } else {
        Err(WireFault::WrongType.into())
    }
}

impl Field for String {
    fn is_default(&self) -> bool {
        self.is_empty()
    }

    fn field_len(&self, number: u32, _: Form) -> u64 {
        bytes_len(number, self.len() as u64)
    }

    fn put(&self, number: u32, out: &mut Writer<'_>) -> io::Result<()> {
        out.bytes(number, self.as_bytes())
    }

    fn take(&mut self, wire: WireType, from: &mut Reader<'_>) -> Result<()> {
        expect(wire, WireType::Bytes)?;
        *self = from.string()?;
        Ok(())
    }
}

impl Field for Bytes {
    fn is_default(&self) -> bool {
        self.0.is_empty()
    }

    fn field_len(&self, number: u32, _: Form) -> u64 {
        bytes_len(number, self.0.len() as u64)
    }

    fn put(&self, number: u32, out: &mut Writer<'_>) -> io::Result<()> {
        out.bytes(number, &self.0)
    }

    fn take(&mut self, wire: WireType, from: &mut Reader<'_>) -> Result<()> {
        expect(wire, WireType::Bytes)?;
        self.0 = from.bytes()?;
        Ok(())
    }
}

/// Numbers without a sign: their values are varints as they are.
macro_rules! number {
    ($type:ty) => {
        impl Field for $type {
            fn is_default(&self) -> bool {
                *self == <$type>::default()
            }

            fn field_len(&self, number: u32, _: Form) -> u64 {
                tag_len(number) + varint_len(u64::from(*self))
            }

            fn put(&self, number: u32, out: &mut Writer<'_>) -> io::Result<()> {
                out.tag(number, WireType::Varint)?;
                out.varint(u64::from(*self))
            }

            fn take(&mut self, wire: WireType, from: &mut Reader<'_>) -> Result<()> {
                expect(wire, WireType::Varint)?;
                let value = from.varint()?;
                *self = <$type>::try_from(value).map_err(|_| WireFault::OutOfRange(value))?;
                Ok(())
            }
        }
    };
}

number!(u16);
number!(u32);
number!(u64);

impl Field for bool {
    fn is_default(&self) -> bool {
        !*self
    }

    fn field_len(&self, number: u32, _: Form) -> u64 {
        tag_len(number) + 1
    }

    fn put(&self, number: u32, out: &mut Writer<'_>) -> io::Result<()> {
        out.tag(number, WireType::Varint)?;
        out.varint(u64::from(*self))
    }

    fn take(&mut self, wire: WireType, from: &mut Reader<'_>) -> Result<()> {
        expect(wire, WireType::Varint)?;
        *self = match from.varint()? {
            0 => false,
            1 => true,
            other => return Err(WireFault::OutOfRange(other).into()),
        };
        Ok(())
    }
}

/// Numbers of which 0 differs from nothing at all (`optional` in proto3).
impl Field for Option<u64> {
    fn is_default(&self) -> bool {
        self.is_none()
    }

    fn field_len(&self, number: u32, form: Form) -> u64 {
        self.map_or(0, |value| value.field_len(number, form))
    }

    fn put(&self, number: u32, out: &mut Writer<'_>) -> io::Result<()> {
        self.map_or(Ok(()), |value| value.put(number, out))
    }

    fn take(&mut self, wire: WireType, from: &mut Reader<'_>) -> Result<()> {
        self.insert(0).take(wire, from)
    }
}

/// Repeated numbers: packed when written, either way when read.
impl Field for Vec<u16> {
    const REPEATED: bool = true;

    fn is_default(&self) -> bool {
        self.is_empty()
    }

    fn field_len(&self, number: u32, _: Form) -> u64 {
        bytes_len(number, self.iter().map(|v| varint_len(u64::from(*v))).sum())
    }

    fn put(&self, number: u32, out: &mut Writer<'_>) -> io::Result<()> {
        out.head(number, self.iter().map(|v| varint_len(u64::from(*v))).sum())?;
        self.iter().try_for_each(|v| out.varint(u64::from(*v)))
    }

    fn take(&mut self, wire: WireType, from: &mut Reader<'_>) -> Result<()> {
        let mut one = |from: &mut Reader<'_>| {
            from.count_message()?;
            let value = from.varint()?;
            self.push(u16::try_from(value).map_err(|_| WireFault::OutOfRange(value))?);
            Ok(())
        };
        match wire {
            WireType::Varint => one(from),
            WireType::Bytes => from.nested(|from| {
                while !from.at_end() {
                    one(from)?;
                }
                Ok(())
            }),
        }
    }
}

impl Field for Vec<String> {
    const REPEATED: bool = true;

    fn is_default(&self) -> bool {
        self.is_empty()
    }

    fn field_len(&self, number: u32, form: Form) -> u64 {
        self.iter()
            .map(|text| Field::field_len(text, number, form))
            .sum()
    }

    fn put(&self, number: u32, out: &mut Writer<'_>) -> io::Result<()> {
        self.iter().try_for_each(|text| text.put(number, out))
    }

    fn take(&mut self, wire: WireType, from: &mut Reader<'_>) -> Result<()> {
        from.count_message()?;
        let mut text = String::new();
        text.take(wire, from)?;
        self.push(text);
        Ok(())
    }
}

fn message_len<M: Message>(message: &M, number: u32, form: Form) -> u64 {
    bytes_len(number, message.encoded_len(form))
}

fn put_message<M: Message>(message: &M, number: u32, out: &mut Writer<'_>) -> io::Result<()> {
    out.head(number, message.encoded_len(out.form()))?;
    message.encode(out)
}

fn take_message<M: Message>(wire: WireType, from: &mut Reader<'_>) -> Result<M> {
    expect(wire, WireType::Bytes)?;
    from.count_message()?;
    from.nested(M::decode)
}

/// A message that differs from none at all when it is empty.
impl<M: Message> Field for Option<M> {
    fn is_default(&self) -> bool {
        self.is_none()
    }

    fn field_len(&self, number: u32, form: Form) -> u64 {
        self.as_ref()
            .map_or(0, |message| message_len(message, number, form))
    }

    fn put(&self, number: u32, out: &mut Writer<'_>) -> io::Result<()> {
        self.as_ref()
            .map_or(Ok(()), |message| put_message(message, number, out))
    }

    fn take(&mut self, wire: WireType, from: &mut Reader<'_>) -> Result<()> {
        *self = Some(take_message(wire, from)?);
        Ok(())
    }
}

impl<M: Message> Field for Vec<M> {
    const REPEATED: bool = true;

    fn is_default(&self) -> bool {
        self.is_empty()
    }

    fn field_len(&self, number: u32, form: Form) -> u64 {
        self.iter().map(|m| message_len(m, number, form)).sum()
    }

    fn put(&self, number: u32, out: &mut Writer<'_>) -> io::Result<()> {
        self.iter().try_for_each(|m| put_message(m, number, out))
    }

    fn take(&mut self, wire: WireType, from: &mut Reader<'_>) -> Result<()> {
        self.push(take_message(wire, from)?);
        Ok(())
    }
}

/// What a map may hold.
pub(crate) trait MapValue: Default {
    fn value_len(&self, form: Form) -> u64;
    fn put_value(&self, out: &mut Writer<'_>) -> io::Result<()>;
    fn take_value(wire: WireType, from: &mut Reader<'_>) -> Result<Self>;
}

impl MapValue for Bytes {
    fn value_len(&self, form: Form) -> u64 {
        Field::field_len(self, 2, form)
    }

    fn put_value(&self, out: &mut Writer<'_>) -> io::Result<()> {
        self.put(2, out)
    }

    fn take_value(wire: WireType, from: &mut Reader<'_>) -> Result<Self> {
        let mut bytes = Self::default();
        bytes.take(wire, from)?;
        Ok(bytes)
    }
}

impl<M: Message> MapValue for M {
    fn value_len(&self, form: Form) -> u64 {
        message_len(self, 2, form)
    }

    fn put_value(&self, out: &mut Writer<'_>) -> io::Result<()> {
        put_message(self, 2, out)
    }

    fn take_value(wire: WireType, from: &mut Reader<'_>) -> Result<Self> {
        take_message(wire, from)
    }
}

/// Bytes of a map's entry without tag and length.
fn entry_len<V: MapValue>(key: &str, value: &V, form: Form) -> u64 {
    bytes_len(1, key.len() as u64) + value.value_len(form)
}

/// Reads a map's entry. Key and value may each be left out, as some writers do
/// with defaults.
pub(crate) fn take_entry<V: MapValue>(from: &mut Reader<'_>) -> Result<(String, V)> {
    from.count_message()?;
    from.nested(|from| {
        let (mut key, mut value) = (None, None);
        while let Some((number, wire)) = from.tag()? {
            let twice = match number {
                1 => {
                    let mut text = String::new();
                    text.take(wire, from)?;
                    key.replace(text).is_some()
                }
                2 => value.replace(V::take_value(wire, from)?).is_some(),
                other => return Err(WireFault::UnknownField(other).into()),
            };
            if twice {
                return Err(WireFault::Twice.into());
            }
        }
        Ok((key.unwrap_or_default(), value.unwrap_or_default()))
    })
}

impl<V: MapValue> Field for Map<V> {
    const REPEATED: bool = true;

    fn is_default(&self) -> bool {
        self.is_empty()
    }

    fn field_len(&self, number: u32, form: Form) -> u64 {
        self.iter()
            .map(|(key, value)| bytes_len(number, entry_len(key, value, form)))
            .sum()
    }

    fn put(&self, number: u32, out: &mut Writer<'_>) -> io::Result<()> {
        self.iter().try_for_each(|(key, value)| {
            out.head(number, entry_len(key, value, out.form()))?;
            out.bytes(1, key.as_bytes())?;
            value.put_value(out)
        })
    }

    fn take(&mut self, wire: WireType, from: &mut Reader<'_>) -> Result<()> {
        expect(wire, WireType::Bytes)?;
        let (key, value) = take_entry(from)?;
        match self.0.insert(key, value) {
            None => Ok(()),
            Some(_) => Err(WireFault::Twice.into()),
        }
    }
}
