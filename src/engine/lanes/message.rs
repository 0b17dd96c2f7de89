//! Messages laid out for the lanes: padded, in blocks of 64 bytes, in memory that is reused.

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

impl Tail {
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
    /// Four times the lanes: enough that full lanes are the rule, and little enough (4 KB) for the first-level cache.
    pub const ROOM: usize = 32;

    /// Writes prefix and tail as the message `at`; afterwards the messages behind it have no meaning. Returns its
    /// blocks, `None` when it needs more than two.
    pub fn write(&mut self, at: usize, prefix: Prefix<'_>, tail: &Tail) -> Option<usize> {
        let len = prefix.len + tail.len;
        if len > TWO_BLOCKS_MAX {
            return None;
        }
        let out = &mut self.bytes[at * MESSAGE_BYTES..][..2 * MESSAGE_BYTES];
        if prefix.len <= 64 {
            out[..64].copy_from_slice(&prefix.window[..64]);
        } else {
            out[..MESSAGE_BYTES].copy_from_slice(prefix.window);
        }
        out[prefix.len..prefix.len + MESSAGE_BYTES].copy_from_slice(&tail.bytes);
        let blocks = if len < 56 { 1 } else { 2 };
        // The length in bits, at most 952: of its eight bytes at the end the first six are zero already.
        out[blocks * 64 - 2..blocks * 64].copy_from_slice(&(len as u16 * 8).to_be_bytes());
        Some(blocks)
    }

    /// Message `at`.
    pub fn get(&self, at: usize) -> &Message {
        let bytes = &self.bytes.as_chunks::<MESSAGE_BYTES>().0[at];
        bytes.as_chunks::<64>().0.as_array().unwrap_or(&[[0; 64]; 2])
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
