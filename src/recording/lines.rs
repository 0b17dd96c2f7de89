//! Reading a recording line by line, within bounds.

use std::fmt;
use std::io::{self, BufRead};

use super::{End, EndLine, Entry, FORM, Header};

/// Bytes of a line: a body of 2 MiB with every byte escaped fits.
pub const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A line of a recording.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// The first.
    Header(Header),
    /// A request.
    Entry(Box<Entry>),
    /// The last.
    End(End),
}

/// What is wrong with a line.
#[derive(Debug)]
pub enum LineError {
    /// Longer than [`LINE_BYTES_MAX`]; it was skipped.
    TooLong,
    /// Neither a header, a request nor an end. Without the text, which may be somebody's data.
    Malformed(serde_json::Error),
    /// Another version of the form.
    Form(u32),
    /// The file could not be read on.
    Io(io::Error),
}

impl fmt::Display for LineError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(out, "longer than {LINE_BYTES_MAX} bytes"),
            Self::Malformed(error) => write!(out, "no line of a recording: {error}"),
            Self::Form(form) => write!(out, "form {form} of recordings; this program reads form {FORM}"),
            Self::Io(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for LineError {}

/// Lines of a text, none of them longer than the bound. Empty ones are left out.
pub struct Lines<R> {
    reader: R,
    line: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// Over a reader.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            line: Vec::new(),
            number: 0,
        }
    }

    /// The number of the line that was read last, from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The reader, to begin again.
    pub fn reader_mut(&mut self) -> &mut R {
        self.number = 0;
        &mut self.reader
    }

    /// The next line without its end. `None`: there is no more.
    ///
    /// # Errors
    /// When the line is too long, which skips it, or cannot be read.
    pub fn next_line(&mut self) -> Option<Result<&[u8], LineError>> {
        loop {
            self.line.clear();
            let mut too_long = false;
            let mut seen = false;
            loop {
                let available = match self.reader.fill_buf() {
                    Ok(available) => available,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Some(Err(LineError::Io(error))),
                };
                if available.is_empty() {
                    break;
                }
                seen = true;
                let end = memchr::memchr(b'\n', available);
                let piece = available
                    .get(..end.unwrap_or(available.len()))
                    .unwrap_or_default();
                if self.line.len() + piece.len() > LINE_BYTES_MAX {
                    too_long = true;
                    self.line.clear();
                } else if !too_long {
                    self.line.extend_from_slice(piece);
                }
                let used = piece.len() + usize::from(end.is_some());
                self.reader.consume(used);
                if end.is_some() {
                    break;
                }
            }
            if !seen {
                return None;
            }
            self.number += 1;
            if too_long {
                return Some(Err(LineError::TooLong));
            }
            if !self.line.trim_ascii().is_empty() {
                return Some(Ok(self.line.trim_ascii()));
            }
        }
    }

    /// The next line of a recording.
    ///
    /// # Errors
    /// As [`Lines::next_line`], and when the line is none of a recording. The one after it can be read.
    pub fn next_of_recording(&mut self) -> Option<Result<Line, LineError>> {
        match self.next_line()? {
            Ok(text) => Some(parse(text)),
            Err(error) => Some(Err(error)),
        }
    }
}

fn parse(text: &[u8]) -> Result<Line, LineError> {
    if text.starts_with(b"{\"recording\":") {
        let header: Header = serde_json::from_slice(text).map_err(LineError::Malformed)?;
        if header.recording != FORM {
            return Err(LineError::Form(header.recording));
        }
        return Ok(Line::Header(header));
    }
    if text.starts_with(b"{\"end\":") {
        let end: EndLine = serde_json::from_slice(text).map_err(LineError::Malformed)?;
        return Ok(Line::End(end.end));
    }
    serde_json::from_slice(text)
        .map(|entry| Line::Entry(Box::new(entry)))
        .map_err(LineError::Malformed)
}
