//! A protobuf message as a run of borrowed fields: nothing is allocated, nothing is trusted.

use super::error::IngestError;

/// One field of a message.
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) value: Value<'a>,
}

/// A field's value as the wire has it.
pub(super) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Fixed 32 or 64 bits; none of our messages has any.
    Fixed,
}

/// Reads the fields of one message.
pub(super) struct Fields<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// `what` names the message in errors.
    pub(super) fn new(what: &'static str, message: &'a [u8]) -> Self {
        Self { what, rest: message }
    }

    /// The next field; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Field<'a>>, IngestError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.skip(8)?,
            2 => {
                let len = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                Value::Bytes(self.take(len)?)
            }
            5 => self.skip(4)?,
            wire => return Err(self.malformed(format!("wire type {wire}"))),
        };
        Ok(Some(Field { number: key >> 3, value }))
    }

    fn skip(&mut self, len: usize) -> Result<Value<'a>, IngestError> {
        self.take(len)?;
        Ok(Value::Fixed)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], IngestError> {
        let Some((head, rest)) = self.rest.split_at_checked(len) else {
            let left = self.rest.len();
            return Err(self.malformed(format!("a field of {len} bytes where {left} are left")));
        };
        self.rest = rest;
        Ok(head)
    }

    fn varint(&mut self) -> Result<u64, IngestError> {
        let (value, rest) =
            varint(self.rest).ok_or_else(|| self.malformed("a number has no end".to_owned()))?;
        self.rest = rest;
        Ok(value)
    }

    fn malformed(&self, why: String) -> IngestError {
        IngestError::Malformed { what: self.what, why }
    }
}

/// Splits a number from the front of `bytes`. `None` if it is cut off or longer than 10 bytes.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

/// Calls `visit` for each number of a repeated field, packed or not.
pub(super) fn numbers(
    what: &'static str,
    value: &Value<'_>,
    mut visit: impl FnMut(u64) -> Result<(), IngestError>,
) -> Result<(), IngestError> {
    match value {
        Value::Varint(number) => visit(*number),
        Value::Fixed => Err(IngestError::malformed(what, "a number of fixed width")),
        Value::Bytes(packed) => {
            let mut rest = *packed;
            while !rest.is_empty() {
                let (number, after) = varint(rest)
                    .ok_or_else(|| IngestError::malformed(what, "a number has no end"))?;
                visit(number)?;
                rest = after;
            }
            Ok(())
        }
    }
}

impl<'a> Value<'a> {
    /// The bytes of a string or message.
    pub(super) fn bytes(&self, what: &'static str) -> Result<&'a [u8], IngestError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(IngestError::malformed(what, "a number where bytes belong")),
        }
    }

    /// A number.
    pub(super) fn number(&self, what: &'static str) -> Result<u64, IngestError> {
        match self {
            Self::Varint(number) => Ok(*number),
            _ => Err(IngestError::malformed(what, "bytes where a number belongs")),
        }
    }
}
