//! Gunzip with a limit, into memory that is reused.

use libdeflater::{DecompressionError, Decompressor};

use super::scratch::Padded;

/// The largest decompressed body (`http.md` 5.3).
pub(super) const INFLATED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Deflate cannot expand further than 1032 to 1, so no trailer may ask for more room than that.
const DEFLATE_RATIO_MAX: usize = 1032;

/// Room for a body whose trailer says nothing useful.
const FIRST_ROOM_BYTES: usize = 4 * 1024;

/// Why a body could not be gunzipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GunzipError {
    /// Does not start as a gzip member does.
    Header,
    /// Cut short, damaged, or its checksum is wrong.
    Corrupt,
    /// More than 4 MiB when decompressed.
    TooLarge,
}

/// Whether `body` starts as gzip with deflate inside does.
pub(super) fn is_gzip(body: &[u8]) -> bool {
    body.starts_with(&[0x1f, 0x8b, 0x08])
}

/// Decompresses the first member of `body` to the start of `out`; how many bytes were written.
/// Bytes after that member are ignored.
pub(super) fn gunzip(
    decompressor: &mut Decompressor,
    body: &[u8],
    out: &mut Padded,
) -> Result<usize, GunzipError> {
    if !is_gzip(body) {
        return Err(GunzipError::Header);
    }
    let mut room = first_room(body)
        .max(out.content_capacity())
        .min(INFLATED_BYTES_MAX);
    loop {
        match decompressor.gzip_decompress(body, out.room(room)) {
            Ok(length) => return Ok(length),
            Err(DecompressionError::BadData) => return Err(GunzipError::Corrupt),
            Err(DecompressionError::InsufficientSpace) if room == INFLATED_BYTES_MAX => {
                return Err(GunzipError::TooLarge);
            }
            Err(DecompressionError::InsufficientSpace) => room = (room * 4).min(INFLATED_BYTES_MAX),
        }
    }
}

/// The size that the trailer states, as far as it is plausible: bytes may follow the member, and
/// the sender may lie.
fn first_room(body: &[u8]) -> usize {
    let stated = body
        .last_chunk()
        .map_or(0, |trailer| u32::from_le_bytes(*trailer) as usize);
    stated.min(body.len() * DEFLATE_RATIO_MAX).max(FIRST_ROOM_BYTES)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use libdeflater::{CompressionLvl, Compressor};

    pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
        let mut compressor = Compressor::new(CompressionLvl::default());
        let mut out = vec![0; compressor.gzip_compress_bound(content.len())];
        let length = compressor.gzip_compress(content, &mut out).unwrap();
        out.truncate(length);
        out
    }

    fn inflated(body: &[u8]) -> Result<Vec<u8>, GunzipError> {
        let mut out = Padded::default();
        gunzip(&mut Decompressor::new(), body, &mut out).map(|length| out.content(length).to_vec())
    }

    #[test]
    fn exactly_the_limit_is_accepted_and_one_more_is_not() {
        let content = vec![b' '; INFLATED_BYTES_MAX + 1];
        assert_eq!(
            inflated(&gzip(&content[1..])).map(|out| out.len()),
            Ok(INFLATED_BYTES_MAX)
        );
        assert_eq!(inflated(&gzip(&content)), Err(GunzipError::TooLarge));
    }

    #[test]
    fn bytes_after_the_first_member_are_ignored_whatever_size_they_state() {
        for trailing in [&b"x"[..], &[0xff; 8], &gzip(b"second")] {
            let mut body = gzip(&[b'a'; 100_000]);
            body.extend_from_slice(trailing);
            assert_eq!(inflated(&body), Ok(vec![b'a'; 100_000]));
        }
    }

    #[test]
    fn a_trailer_that_lies_does_not_size_the_buffer() {
        let mut body = gzip(b"abc");
        body.extend_from_slice(&u32::MAX.to_le_bytes());
        assert!(first_room(&body) <= body.len() * DEFLATE_RATIO_MAX);
    }

    #[test]
    fn damage_is_told_from_a_missing_header() {
        let body = gzip(b"some content that is compressed");
        assert_eq!(inflated(b"{}"), Err(GunzipError::Header));
        assert_eq!(inflated(b""), Err(GunzipError::Header));
        assert_eq!(inflated(&body[..body.len() - 9]), Err(GunzipError::Corrupt));
        let mut damaged = body.clone();
        let checksum = damaged.len() - 6;
        damaged[checksum] ^= 1;
        assert_eq!(inflated(&damaged), Err(GunzipError::Corrupt));
    }
}
