//! Python pickles of one string, and nothing else (`storage.md` 2.3).
//!
//! A general unpickler is neither needed nor safe: this one knows the nine opcodes that a pickled `str` consists of.
//! It knows nothing of compression or of what the string means.

use std::fmt;

const PROTO: u8 = 0x80;
const FRAME: u8 = 0x95;
const SHORT_BINUNICODE: u8 = 0x8c;
const BINUNICODE: u8 = 0x58;
const BINUNICODE8: u8 = 0x8d;
const MEMOIZE: u8 = 0x94;
const BINPUT: u8 = 0x71;
const LONG_BINPUT: u8 = 0x72;
const STOP: u8 = 0x2e;
const BININT: u8 = 0x4a;
const BININT1: u8 = 0x4b;
const BININT2: u8 = 0x4d;
const LONG1: u8 = 0x8a;

/// What is written; 2 to 5 are read.
const PROTOCOL: u8 = 4;

/// Longest string inside a frame, in bytes: CPython writes larger ones past the framer.
const FRAME_BYTES_MAX: usize = 65_535;

/// An `i64` takes eleven bytes with its opcode and length, and a frame nine more.
const INTEGER_PICKLE_BYTES_MAX: usize = 32;

/// Bytes that are no pickle of the shape asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PickleError {
    /// Ends before its STOP.
    Truncated,
    /// An opcode that a pickled string does not have, or in the wrong place.
    Opcode(u8),
    /// A protocol before 2 or after 5.
    Protocol(u8),
    /// A frame longer than what follows.
    Frame,
    /// The string is not UTF-8.
    Utf8,
    /// Bytes after STOP.
    Trailing,
}

impl fmt::Display for PickleError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => formatter.write_str("pickle is cut short"),
            Self::Opcode(opcode) => write!(formatter, "pickle opcode {opcode:#04x} is not of a string"),
            Self::Protocol(protocol) => write!(formatter, "pickle protocol {protocol} is unknown"),
            Self::Frame => formatter.write_str("pickle frame is longer than the pickle"),
            Self::Utf8 => formatter.write_str("pickled string is not UTF-8"),
            Self::Trailing => formatter.write_str("bytes follow the pickle"),
        }
    }
}

impl std::error::Error for PickleError {}

/// The string of a pickle, borrowed from it.
///
/// # Errors
/// When the bytes are anything but one pickled string.
pub fn decode(pickle: &[u8]) -> Result<&str, PickleError> {
    let mut reader = Reader { rest: pickle };
    reader.header()?;
    let text = reader.string()?;
    loop {
        match reader.byte()? {
            MEMOIZE => {}
            BINPUT => drop(reader.take(1)?),
            LONG_BINPUT => drop(reader.take(4)?),
            STOP => break,
            opcode => return Err(PickleError::Opcode(opcode)),
        }
    }
    if reader.rest.is_empty() {
        std::str::from_utf8(text).map_err(|_| PickleError::Utf8)
    } else {
        Err(PickleError::Trailing)
    }
}

/// The integer of a pickle of exactly one integer. Read by `serde_pickle` once its few bytes have passed a check of
/// their opcode and length.
///
/// # Errors
/// When the bytes are anything else, or the integer needs more than 64 bits.
pub fn decode_integer(pickle: &[u8]) -> Result<i64, PickleError> {
    if pickle.len() > INTEGER_PICKLE_BYTES_MAX {
        return Err(PickleError::Trailing);
    }
    let mut reader = Reader { rest: pickle };
    reader.header()?;
    let opcode = reader.byte()?;
    let width = match opcode {
        BININT => 4,
        BININT1 => 1,
        BININT2 => 2,
        LONG1 => usize::from(reader.byte()?),
        _ => return Err(PickleError::Opcode(opcode)),
    };
    reader.take(width)?;
    match reader.byte()? {
        STOP if reader.rest.is_empty() => {}
        STOP => return Err(PickleError::Trailing),
        opcode => return Err(PickleError::Opcode(opcode)),
    }
    serde_pickle::from_slice(pickle, serde_pickle::DeOptions::new()).map_err(|_| PickleError::Opcode(opcode))
}

/// The pickle that CPython's protocol 4 writes for `text`, byte for byte.
#[must_use]
pub fn encode(text: &str) -> Vec<u8> {
    let length = text.len();
    let mut out = Vec::with_capacity(length + 18);
    out.extend_from_slice(&[PROTO, PROTOCOL]);
    let frame = |out: &mut Vec<u8>, around: usize| {
        out.push(FRAME);
        out.extend_from_slice(&((length + around) as u64).to_le_bytes());
    };
    if let Ok(short) = u8::try_from(length) {
        frame(&mut out, 4);
        out.extend_from_slice(&[SHORT_BINUNICODE, short]);
    } else if let Ok(long) = u32::try_from(length) {
        if length <= FRAME_BYTES_MAX {
            frame(&mut out, 7);
        }
        out.push(BINUNICODE);
        out.extend_from_slice(&long.to_le_bytes());
    } else {
        out.push(BINUNICODE8);
        out.extend_from_slice(&(length as u64).to_le_bytes());
    }
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(&[MEMOIZE, STOP]);
    out
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], PickleError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(PickleError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, PickleError> {
        let (first, rest) = self.rest.split_first().ok_or(PickleError::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    /// A little-endian length of `width` bytes.
    fn length(&mut self, width: usize) -> Result<usize, PickleError> {
        let mut bytes = [0; 8];
        for (place, byte) in bytes.iter_mut().zip(self.take(width)?) {
            *place = *byte;
        }
        // Longer than the address space is longer than the buffer.
        usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| PickleError::Truncated)
    }

    /// PROTO, and a frame around the rest.
    fn header(&mut self) -> Result<(), PickleError> {
        match self.byte()? {
            PROTO => {}
            opcode => return Err(PickleError::Opcode(opcode)),
        }
        match self.byte()? {
            2..=5 => {}
            protocol => return Err(PickleError::Protocol(protocol)),
        }
        if self.rest.first() == Some(&FRAME) {
            self.byte()?;
            if self.length(8)? > self.rest.len() {
                return Err(PickleError::Frame);
            }
        }
        Ok(())
    }

    fn string(&mut self) -> Result<&'a [u8], PickleError> {
        let width = match self.byte()? {
            SHORT_BINUNICODE => 1,
            BINUNICODE => 4,
            BINUNICODE8 => 8,
            opcode => return Err(PickleError::Opcode(opcode)),
        };
        let length = self.length(width)?;
        self.take(length)
    }
}
