//! Stored values of the first tier: a pickled string, compressed when it is long (`storage.md` 2.3, 2.4).

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use super::pickle::{self, PickleError};

/// Text that stands for "nothing there".
pub const MISSING: &str = "__missing__";

/// Default ceiling on a decompressed value, in bytes; payloads beyond 5 MB are outliers.
pub const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Pickles up to this length are stored as they are.
const PLAIN_BYTES_MAX: usize = 512;

/// Django asks for level 0, which zstd takes as this.
const LEVEL: i32 = 3;

/// What a stored value says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored<'a> {
    /// The sentinel: a hit without a value.
    Missing,
    /// The text; borrowed when the value was not compressed.
    Text(Cow<'a, str>),
}

/// Why a stored value cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueError {
    /// More than this many bytes when decompressed.
    TooLarge(usize),
    /// No pickle of a string.
    Pickle(PickleError),
}

impl fmt::Display for ValueError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(limit) => write!(formatter, "value decompresses to more than {limit} bytes"),
            Self::Pickle(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for ValueError {}

/// Reads a stored value; one that decompresses to more than `bytes_max` is refused without decompressing more than that.
///
/// # Errors
/// When the value is too large or no pickle of a string.
pub fn decode(value: &[u8], bytes_max: usize) -> Result<Stored<'_>, ValueError> {
    let text = match decompress(value, bytes_max)? {
        None => Cow::Borrowed(pickle::decode(value).map_err(ValueError::Pickle)?),
        Some(mut bytes) => {
            let text = pickle::decode(&bytes).map_err(ValueError::Pickle)?;
            // Moved within the buffer instead of copied to another: entries are megabytes.
            let start = text.as_ptr() as usize - bytes.as_ptr() as usize;
            let length = text.len();
            bytes.truncate(start + length);
            bytes.drain(..start);
            Cow::Owned(String::from_utf8(bytes).map_err(|_| ValueError::Pickle(PickleError::Utf8))?)
        }
    };
    Ok(if text == MISSING {
        Stored::Missing
    } else {
        Stored::Text(text)
    })
}

/// `None`: not compressed, or not readable as such.
fn decompress(value: &[u8], bytes_max: usize) -> Result<Option<Vec<u8>>, ValueError> {
    if !value.starts_with(&ZSTD_MAGIC) {
        return Ok(None);
    }
    let Ok(mut decoder) = zstd::stream::read::Decoder::with_buffer(value) else {
        return Ok(None);
    };
    // The window is memory too. Frames of our level stay below 8 MiB, which every decoder has to accept.
    let window_log = bytes_max.max(8 << 20).ilog2().min(27);
    if decoder.window_log_max(window_log).is_err() {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(value.len().saturating_mul(4).min(bytes_max));
    let limit = (bytes_max as u64).saturating_add(1);
    if decoder.take(limit).read_to_end(&mut bytes).is_err() {
        return Ok(None);
    }
    if bytes.len() > bytes_max {
        return Err(ValueError::TooLarge(bytes_max));
    }
    Ok(Some(bytes))
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Above 512 bytes of pickle, as Django does by default.
    #[default]
    Zstd,
    /// Never, as with `USE_REDIS_COMPRESSION=false`.
    Off,
}

/// The stored form of `text`, as Django writes it. The sentinel is short and so never compressed.
#[must_use]
pub fn encode(text: &str, compression: Compression) -> Vec<u8> {
    let pickle = pickle::encode(text);
    if compression == Compression::Off || pickle.len() <= PLAIN_BYTES_MAX {
        return pickle;
    }
    // One frame with its content size. Compression fails only without memory; plain is as good a stored form.
    zstd::bulk::compress(&pickle, LEVEL).unwrap_or(pickle)
}
