//! Appending short texts by copies of a constant size, which are a few instructions where a call with a length is dozens.
//!
//! The copy may reach beyond the text; what is too much is cut off again. So a buffer needs [`OVERHANG_BYTES`] more room than what is
//! written into it, or its last piece makes it grow.

/// How far a copy may reach beyond what is written.
pub const OVERHANG_BYTES: usize = LARGE;

const LARGE: usize = 128;
const SMALL: usize = 16;

/// Appends the first `len` bytes of what `from` is the beginning of.
#[inline(always)]
pub(super) fn append(from: &[u8], len: usize, out: &mut Vec<u8>) {
    match from.first_chunk::<LARGE>() {
        Some(window) if len <= LARGE => {
            let end = out.len() + len;
            out.extend_from_slice(window);
            out.truncate(end);
        }
        _ => out.extend_from_slice(from.get(..len).unwrap_or(from)),
    }
}

/// A text in place, of mostly a little more than [`LARGE`] bytes.
#[derive(Debug)]
pub(super) struct Text {
    window: [u8; LARGE + SMALL],
    len: u32,
    /// The text, when the window is too small for it.
    long: Option<Box<[u8]>>,
}

impl Text {
    pub fn new(text: &[u8]) -> Self {
        let mut window = [0; LARGE + SMALL];
        let long = match window.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text);
                None
            }
            None => Some(text.into()),
        };
        Self {
            window,
            len: text.len() as u32,
            long,
        }
    }

    #[inline(always)]
    pub fn append(&self, out: &mut Vec<u8>) {
        if let Some(long) = &self.long {
            return out.extend_from_slice(long);
        }
        let end = out.len() + self.len as usize;
        if let (Some(front), Some(back)) = (
            self.window.first_chunk::<LARGE>(),
            self.window.last_chunk::<SMALL>(),
        ) {
            out.reserve(LARGE + SMALL);
            out.extend_from_slice(front);
            out.extend_from_slice(back);
            out.truncate(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_more_and_nothing_less_is_appended() {
        let bytes: Vec<u8> = (0..1_000).map(|at| (at % 251) as u8).collect();
        for len in 0..300 {
            for room in [0, 1, 127, 128, 600] {
                let mut out = vec![7; 3];
                append(&bytes[..len + room], len, &mut out);
                assert_eq!(out[3..], bytes[..len], "{len} of {}", len + room);
            }
            let mut out = vec![7; 3];
            Text::new(&bytes[..len]).append(&mut out);
            assert_eq!((&out[..3], &out[3..]), (&[7; 3][..], &bytes[..len]));
        }
    }
}
