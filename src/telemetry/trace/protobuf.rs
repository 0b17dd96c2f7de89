//! The few forms of the protobuf wire format that OTLP needs: written straight into one buffer.

/// Wire types.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

/// A message that is being written.
#[derive(Debug, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// The bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn key(&mut self, field: u32, wire_type: u32) {
        self.varint(u64::from(field << 3 | wire_type));
    }

    /// A number; negative ones take ten bytes, as the format has it.
    pub fn integer(&mut self, field: u32, number: i64) {
        self.key(field, VARINT);
        self.varint(number as u64);
    }

    /// A number of eight bytes.
    pub fn fixed64(&mut self, field: u32, number: u64) {
        self.key(field, FIXED64);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// A number of four bytes.
    pub fn fixed32(&mut self, field: u32, number: u32) {
        self.key(field, FIXED32);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// Bytes or a text.
    pub fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A message within this one. Its length stands before it and is known after it: it is written behind and moved once,
    /// by as many bytes as its length takes.
    pub fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.key(field, BYTES);
        let from = self.0.len();
        write(self);
        let length = self.0.len() - from;
        self.varint(length as u64);
        let prefix = self.0.len() - from - length;
        if let Some(tail) = self.0.get_mut(from..) {
            tail.rotate_right(prefix);
        }
    }
}

/// A field that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read<'m> {
    /// Any number.
    Number(u64),
    /// Bytes, a text or a message.
    Bytes(&'m [u8]),
}

/// Reads the fields of a message, until its end or the first that cannot be read.
pub fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u32, Read<'_>)> {
    std::iter::from_fn(move || {
        let key = take_varint(&mut rest)?;
        let value = match (key & 7) as u32 {
            VARINT => Read::Number(take_varint(&mut rest)?),
            FIXED64 => Read::Number(u64::from_le_bytes(take(&mut rest, 8)?.try_into().ok()?)),
            FIXED32 => Read::Number(u32::from_le_bytes(take(&mut rest, 4)?.try_into().ok()?).into()),
            BYTES => {
                let length = usize::try_from(take_varint(&mut rest)?).ok()?;
                Read::Bytes(take(&mut rest, length)?)
            }
            _ => return None,
        };
        Some((u32::try_from(key >> 3).ok()?, value))
    })
}

fn take<'m>(rest: &mut &'m [u8], length: usize) -> Option<&'m [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for at in 0..10 {
        let byte = *take(rest, 1)?.first()?;
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let long = [b'x'; 300];
        let mut message = Message::default();
        message.integer(1, 300);
        message.integer(2, -1);
        message.fixed64(3, u64::MAX);
        message.fixed32(4, 257);
        message.message(5, |inner| {
            inner.bytes(1, &long);
            inner.message(2, |_| {});
        });
        let bytes = message.into_bytes();
        let read: Vec<_> = fields(&bytes).collect();
        assert_eq!(
            read[..4],
            [
                (1, Read::Number(300)),
                (2, Read::Number(u64::MAX)),
                (3, Read::Number(u64::MAX)),
                (4, Read::Number(257)),
            ]
        );
        let (5, Read::Bytes(inner)) = read[4] else {
            panic!("{read:?}")
        };
        let inner: Vec<_> = fields(inner).collect();
        assert_eq!(inner, [(1, Read::Bytes(&long)), (2, Read::Bytes(b""))]);
    }

    #[test]
    fn broken_messages_end_early() {
        for broken in [
            &[0x08][..],
            &[0x0a, 5, 1],
            &[0x0b],
            &[0xff; 11],
            &[0x09, 1],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f],
        ] {
            assert_eq!(fields(broken).count(), 0, "{broken:?}");
        }
    }
}
