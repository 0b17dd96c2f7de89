//! Appending short texts by copies of a constant size, which are a few instructions where a call with a length is dozens.
//!
//! The copy may reach beyond the text; what is too much is cut off again. So a buffer needs [`OVERHANG_BYTES`] more room than what is
//! written into it, or its last piece makes it grow.

/// How far a copy may reach beyond what is written.
pub const OVERHANG_BYTES: usize = FRONT + ENDING_BACK;

const FRONT: usize = 128;
const ENDING_BACK: usize = 16;

/// A record up to its payload: mostly less than [`FRONT`] bytes.
pub(super) type Head = Text<0>;

/// A record from its payload on: mostly a little more than [`FRONT`] bytes.
pub(super) type Ending = Text<ENDING_BACK>;

/// A text of mostly at most `FRONT + BACK` bytes.
#[derive(Debug)]
pub(super) struct Text<const BACK: usize> {
    front: [u8; FRONT],
    back: [u8; BACK],
    len: u32,
    /// A text that is longer.
    long: Option<Box<[u8]>>,
}

impl<const BACK: usize> Text<BACK> {
    pub fn new(text: &[u8]) -> Self {
        let mut this = Self {
            front: [0; FRONT],
            back: [0; BACK],
            len: text.len() as u32,
            long: (text.len() > FRONT + BACK).then(|| text.into()),
        };
        for (place, byte) in this.front.iter_mut().chain(&mut this.back).zip(text) {
            *place = *byte;
        }
        this
    }

    #[inline(always)]
    pub fn append(&self, out: &mut Vec<u8>) {
        if let Some(long) = &self.long {
            return out.extend_from_slice(long);
        }
        let end = out.len() + self.len as usize;
        out.reserve(FRONT + BACK);
        out.extend_from_slice(&self.front);
        out.extend_from_slice(&self.back);
        out.truncate(end);
    }

    /// The first `len` bytes, which must not reach the back.
    pub fn start(&self, len: usize) -> &[u8] {
        let whole = self.long.as_deref().unwrap_or(&self.front);
        whole.get(..len).unwrap_or(whole)
    }

    /// Heap bytes held.
    pub fn heap_bytes(&self) -> usize {
        self.long.as_ref().map_or(0, |long| long.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_more_and_nothing_less_is_appended() {
        let bytes: Vec<u8> = (0..1_000).map(|at| (at % 251) as u8).collect();
        for len in 0..300 {
            let mut out = vec![7; 3];
            Head::new(&bytes[..len]).append(&mut out);
            assert_eq!((&out[..3], &out[3..]), (&[7; 3][..], &bytes[..len]));
            Ending::new(&bytes[..len]).append(&mut out);
            assert_eq!(
                (&out[3..3 + len], &out[3 + len..]),
                (&bytes[..len], &bytes[..len])
            );
            assert_eq!(Head::new(&bytes[..len]).start(len.min(60)), &bytes[..len.min(60)]);
        }
    }
}
