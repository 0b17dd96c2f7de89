//! Messages laid out for the lanes: padded, in blocks of 64 bytes, in memory that is reused.

use super::padding::{PADDED, bits, pad, row};

/// Two blocks; a message that fits one leaves the second without meaning.
pub(super) type Message = [[u8; 64]; 2];

/// Initial state of SHA-1 (FIPS 180-4, 5.3.1).
pub(in crate::engine) const INITIAL: [u32; 5] =
    [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// The longest message that fits two blocks: 128 bytes less the end mark and the length.
pub(in crate::engine) const TWO_BLOCKS_MAX: usize = 119;

const MESSAGE_BYTES: usize = 128;

/// What follows the prefix: identifier, salt, end mark and zeros. The same for every flag of a request, so it is put
/// together once, at a size that is copied without a loop.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    bytes: [u8; MESSAGE_BYTES],
    len: usize,
}

impl Default for Tail {
    fn default() -> Self {
        Self {
            bytes: [0; MESSAGE_BYTES],
            len: 0,
        }
    }
}

impl Prefix<'_> {
    /// Its bytes.
    pub fn len(self) -> usize {
        self.len
    }
}

impl Tail {
    /// Bytes of identifier and salt.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Becomes identifier and salt. One that no message of two blocks can hold is only measured.
    pub fn set(&mut self, identifier: &[u8], salt: &[u8]) {
        self.len = identifier.len() + salt.len();
        if self.len <= TWO_BLOCKS_MAX {
            self.bytes[..identifier.len()].copy_from_slice(identifier);
            self.bytes[identifier.len()..self.len].copy_from_slice(salt);
            self.bytes[self.len] = 0x80;
            self.bytes[self.len + 1..].fill(0);
        }
    }
}

/// What comes after a message's first block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// Nothing.
    Short,
    /// A block of padding: its row of [`super::padding::PADDING`].
    Padded(u32),
    /// A block that is in memory.
    Long,
    /// More than one.
    TooLong,
}

impl Length {
    /// What a message of that many bytes is.
    pub fn of(len: usize) -> Self {
        if len < 56 {
            Self::Short
        } else if PADDED.contains(&len) {
            Self::Padded(row(len))
        } else if len <= TWO_BLOCKS_MAX {
            Self::Long
        } else {
            Self::TooLong
        }
    }
}

/// Copies the first `BYTES` of `from`.
#[inline(always)]
fn copy<const BYTES: usize>(out: &mut [u8; 2 * MESSAGE_BYTES], at: usize, from: &[u8; MESSAGE_BYTES]) {
    if let (Some(out), Some(from)) = (out[at..].first_chunk_mut::<BYTES>(), from.first_chunk::<BYTES>()) {
        *out = *from;
    }
}

/// Room for [`Messages::ROOM`] messages.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub(super) struct Messages {
    // Each message is written at its full size, from the first to the last, and may run over into the next.
    bytes: [u8; (Self::ROOM + 1) * MESSAGE_BYTES],
}

impl Default for Messages {
    fn default() -> Self {
        Self {
            bytes: [0; (Self::ROOM + 1) * MESSAGE_BYTES],
        }
    }
}

impl Messages {
    /// Twice the lanes: a run of full lanes leaves fewer than fill them, and its owners add as many at most.
    pub const ROOM: usize = 32;

    /// Writes prefix and tail as the message `at`, all of it but what [`Messages::pad`] adds; afterwards the messages
    /// behind it have no meaning. Not for [`Length::TooLong`].
    #[inline]
    pub fn write(&mut self, at: usize, prefix: Prefix<'_>, tail: &Tail) {
        let len = prefix.len + tail.len;
        let out = self
            .bytes
            .get_mut(at * MESSAGE_BYTES..)
            .and_then(|rest| rest.first_chunk_mut());
        let Some(out) = out else { return };
        // Sizes are constants so that nothing is copied in a loop.
        if len <= 64 {
            if prefix.len <= 32 {
                copy::<32>(out, 0, prefix.window);
            } else {
                copy::<64>(out, 0, prefix.window);
            }
            copy::<64>(out, prefix.len, &tail.bytes);
            if len < 56 {
                out[62..64].copy_from_slice(&bits(len));
            } else if len == 56 {
                self.pad_to(at, len);
            }
        } else if len <= TWO_BLOCKS_MAX {
            copy::<MESSAGE_BYTES>(out, 0, prefix.window);
            copy::<MESSAGE_BYTES>(out, prefix.len, &tail.bytes);
            out[126..128].copy_from_slice(&bits(len));
        }
    }

    /// Writes the second block of message `at`, which is padding alone, from its row. Does not touch other messages.
    pub fn pad(&mut self, at: usize, row: u32) {
        self.pad_to(at, PADDED.start() + row as usize);
    }

    fn pad_to(&mut self, at: usize, len: usize) {
        let message = &mut self.bytes.as_chunks_mut::<MESSAGE_BYTES>().0[at];
        pad(&mut message.as_chunks_mut::<64>().0[1], len);
    }

    /// Message `at`.
    pub fn get(&self, at: usize) -> &Message {
        &self.all()[at]
    }

    /// Messages side by side, the first of them `from`; `None` when there are not so many.
    pub fn group<const LANES: usize>(&self, from: usize) -> Option<[&Message; LANES]> {
        Some(self.all().get(from..)?.first_chunk::<LANES>()?.each_ref())
    }

    fn all(&self) -> &[Message] {
        self.bytes.as_chunks::<64>().0.as_chunks::<2>().0
    }
}

/// Prefixes of a project's flags in one block of memory, ready to be copied without a loop.
#[derive(Debug)]
pub(in crate::engine) struct Prefixes {
    /// The prefixes, and a message's size of zeros.
    bytes: Vec<u8>,
}

/// Where one prefix is.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct PrefixSpan {
    from: u32,
    len: u32,
}

/// One prefix and what stands behind it in memory.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Prefix<'p> {
    window: &'p [u8; MESSAGE_BYTES],
    len: usize,
}

impl Default for Prefixes {
    fn default() -> Self {
        Self {
            bytes: vec![0; MESSAGE_BYTES],
        }
    }
}

impl Prefixes {
    /// Adds the prefix of a flag: its key and a dot.
    pub fn add(&mut self, key: &str) -> PrefixSpan {
        let from = self.bytes.len() - MESSAGE_BYTES;
        self.bytes.truncate(from);
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.push(b'.');
        let len = self.bytes.len() - from;
        self.bytes.resize(self.bytes.len() + MESSAGE_BYTES, 0);
        PrefixSpan {
            from: from as u32,
            len: len as u32,
        }
    }

    /// A prefix as text.
    pub fn get(&self, span: PrefixSpan) -> &[u8] {
        &self.bytes[span.from as usize..][..span.len as usize]
    }

    /// A prefix as the lanes take it.
    pub fn window(&self, span: PrefixSpan) -> Prefix<'_> {
        Prefix {
            window: self.bytes[span.from as usize..]
                .first_chunk()
                .unwrap_or(&[0; MESSAGE_BYTES]),
            len: span.len as usize,
        }
    }

    /// Heap bytes held.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}
