//! Memory that decoding reuses from request to request.
//!
//! One [`DecodeScratch`] serves one request at a time. It has no lifetime parameter, so its owner
//! can keep it for ever; what borrows from it is [`Decoded`](super::Decoded), which gives the tape
//! back when dropped.

use libdeflater::Decompressor;
use simd_json::{Buffers, INPUT_PADDING, Node, Tape};

use super::json5::Json5Scratch;

/// Nesting that is accepted, in open arrays and objects (`http.md` 5.4).
pub(super) const DEPTH_MAX: usize = 128;

/// What one buffer may keep between requests. Bodies of SDKs stay far below.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// Reusable memory for decoding bodies. Create one per worker, or keep a pool.
pub struct DecodeScratch {
    pub(super) parser: Parser,
    /// The body itself.
    pub(super) plain: Attempt,
    /// What the body's base64 stands for.
    pub(super) unwrapped: Attempt,
    /// Base64 text, freed of percent-encoding and blanks.
    pub(super) text: Vec<u8>,
    /// The text of a distinct id that came as a number.
    pub(super) number: String,
    /// Empty between requests; only its allocation counts.
    pub(super) tape: Tape<'static>,
}

/// The parser and decompressor state, which no result borrows.
pub(super) struct Parser {
    pub(super) inflater: Decompressor,
    buffers: Buffers,
    /// The longest document that `buffers` grew for.
    longest_bytes: usize,
}

/// The memory of one attempt to read a document.
#[derive(Default)]
pub(super) struct Attempt {
    /// The document, which the strict parser writes to.
    pub(super) content: Padded,
    /// The document again, untouched, for the tolerant reader.
    pub(super) original: Padded,
    pub(super) json5: Json5Scratch,
}

/// Bytes with the padding that the strict parser may read beyond them. Its length only grows, so
/// that no byte is zeroed twice.
#[derive(Default)]
pub(super) struct Padded(Vec<u8>);

impl Default for DecodeScratch {
    fn default() -> Self {
        Self::new()
    }
}

impl DecodeScratch {
    /// Empty scratch: the first request of each kind allocates, later ones of the size do not.
    #[must_use]
    pub fn new() -> Self {
        Self {
            parser: Parser::new(),
            plain: Attempt::default(),
            unwrapped: Attempt::default(),
            text: Vec::new(),
            number: String::new(),
            tape: Tape(Vec::new()),
        }
    }

    /// Frees what an outsized request left behind. Call it after each request: it only compares
    /// when there is nothing to free.
    pub fn shrink_to_cap(&mut self) {
        self.parser.shrink_to_cap();
        self.plain.shrink_to_cap();
        self.unwrapped.shrink_to_cap();
        shrink(&mut self.text);
        shrink(&mut self.tape.0);
    }

    /// Bytes kept for the next request, the parser's own tables left out.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.plain.kept_bytes()
            + self.unwrapped.kept_bytes()
            + self.text.capacity()
            + self.number.capacity()
            + self.tape.0.capacity() * size_of::<Node<'_>>()
    }
}

impl Parser {
    pub(super) fn new() -> Self {
        Self {
            inflater: Decompressor::new(),
            buffers: Buffers::with_max_depth(0, DEPTH_MAX),
            longest_bytes: 0,
        }
    }

    /// Reads `length` bytes of strict JSON to `tape`. They are unescaped in place, so after a
    /// refusal their content is lost.
    pub(super) fn read_strict<'a>(
        &mut self,
        content: &'a mut Padded,
        length: usize,
        tape: &mut Tape<'a>,
    ) -> bool {
        self.longest_bytes = self.longest_bytes.max(length);
        let padded = &mut content.0[..length + INPUT_PADDING];
        simd_json::fill_tape_padded(padded, length, &mut self.buffers, tape).is_ok()
    }

    fn shrink_to_cap(&mut self) {
        if self.longest_bytes > KEPT_BYTES_MAX {
            self.buffers = Buffers::with_max_depth(0, DEPTH_MAX);
            self.longest_bytes = 0;
        }
    }
}

impl Attempt {
    fn shrink_to_cap(&mut self) {
        shrink(&mut self.content.0);
        shrink(&mut self.original.0);
        shrink(&mut self.json5.nodes);
        if self.json5.text.capacity() > KEPT_BYTES_MAX {
            self.json5.text = String::new();
        }
    }

    fn kept_bytes(&self) -> usize {
        self.content.0.capacity()
            + self.original.0.capacity()
            + self.json5.text.capacity()
            + self.json5.nodes.capacity() * size_of::<Node<'_>>()
    }
}

impl Padded {
    /// Room for `length` bytes of content; what stands there is arbitrary.
    pub(super) fn room(&mut self, length: usize) -> &mut [u8] {
        if self.0.len() < length + INPUT_PADDING {
            self.0.resize(length + INPUT_PADDING, 0);
        }
        &mut self.0[..length]
    }

    /// Room that is there already.
    pub(super) fn content_capacity(&self) -> usize {
        self.0.len().saturating_sub(INPUT_PADDING)
    }

    /// The first `length` bytes.
    pub(super) fn content(&self, length: usize) -> &[u8] {
        &self.0[..length]
    }
}

fn shrink<T>(kept: &mut Vec<T>) {
    if kept.capacity() * size_of::<T>() > KEPT_BYTES_MAX {
        *kept = Vec::new();
    }
}
