//! The same answers, written in slices between which the caller lets others run.

use super::shape::{Answer, Envelope, Pass, Shape, close, open, write_pass};

/// How far an answer has been written.
#[derive(Debug)]
pub struct SlicedEncoding<'a> {
    shape: Shape,
    answer: Answer<'a>,
    envelope: &'a Envelope<'a>,
    passes: &'static [Pass],
    at: usize,
    /// Something of this pass has been written.
    begun: bool,
}

/// Bytes of a slice, and a record more: about as long as a slice of evaluation, page faults of the buffer included.
const SLICE_BYTES: usize = 64 * 1024;

/// Records written before the size is looked at.
const RECORDS: usize = 16;

impl<'a> SlicedEncoding<'a> {
    /// Before the first byte.
    #[must_use]
    pub fn new(shape: Shape, answer: Answer<'a>, envelope: &'a Envelope<'a>) -> Self {
        Self {
            shape,
            answer,
            envelope,
            passes: shape.passes(),
            at: 0,
            begun: false,
        }
    }

    /// Appends one slice of about 64 KiB; `true` with the last one.
    pub fn step(&mut self, out: &mut Vec<u8>) -> bool {
        self.step_of(SLICE_BYTES, RECORDS, out)
    }

    /// Appends a slice of at least so many bytes, so many records at a time.
    pub fn step_of(&mut self, bytes: usize, records: usize, out: &mut Vec<u8>) -> bool {
        let limit = out.len() + bytes;
        // Records that write nothing are bounded as well.
        let mut looked_at = 0;
        while let Some((pass, later)) = self.passes.split_first() {
            if self.at == 0 {
                open(*pass, self.envelope, out);
                self.begun = false;
            }
            let results = self.answer.results.get(self.at..).unwrap_or_default();
            let taken = results.len().min(records.max(1));
            self.write(*pass, taken, out);
            self.at += taken;
            looked_at += taken;
            if self.at >= self.answer.results.len() {
                self.passes = later;
                self.at = 0;
            }
            if out.len() >= limit || looked_at.saturating_mul(RECORD_BYTES_LEAST) >= bytes {
                break;
            }
        }
        if !self.passes.is_empty() {
            return false;
        }
        close(self.shape, self.answer.results, self.envelope, out);
        true
    }

    fn write(&mut self, pass: Pass, records: usize, out: &mut Vec<u8>) {
        let from = out.len();
        if self.begun {
            out.push(b',');
        }
        let before = out.len();
        let results = self
            .answer
            .results
            .get(self.at..self.at + records)
            .unwrap_or_default();
        write_pass(
            pass,
            Answer {
                results,
                ..self.answer
            },
            out,
        );
        if out.len() == before {
            out.truncate(from);
        } else {
            self.begun = true;
        }
    }
}

/// What looking at a record counts for that writes less.
const RECORD_BYTES_LEAST: usize = 16;
