//! Requests from a file, one after the other, as often as needed. What is no request is counted, and the first few are named.

use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::sync::Arc;

use feature_flags::recording::{Line, LineError, Lines};
use feature_flags::replay::{Request, RequestError, Skipped, Tokens};

use super::Failure;
use crate::cli::Replay;

/// Lines that are named; more are counted.
const NAMED_MAX: u64 = 5;

/// A request, as it is shown and as it is sent.
#[derive(Clone)]
pub struct Fed {
    /// Tokens hashed where they were.
    pub shown: Arc<Request>,
    /// Tokens in place, body encoded.
    pub ready: Arc<Request>,
}

/// A file of requests.
pub struct Feed {
    lines: Lines<BufReader<File>>,
    bodies_to: Option<String>,
    tokens: Arc<Tokens>,
    repeats: bool,
    is_first_pass: bool,
    fed_in_pass: u64,
    skipped: Skipped,
}

impl Feed {
    /// Opens the file and reads the header of a recording.
    ///
    /// # Errors
    /// When it cannot be read, or is no recording.
    pub fn open(arguments: &Replay, tokens: Arc<Tokens>) -> Result<Self, Failure> {
        let name = arguments.file.display();
        let file = File::open(&arguments.file).map_err(|error| Failure::context(&name, error))?;
        let mut lines = Lines::new(BufReader::new(file));
        if let Some(target) = &arguments.bodies_to {
            Request::of_body(b"{}", target)
                .map_err(|_| Failure::new("--bodies: expected a path such as /flags?v=2"))?;
        } else {
            match lines.next_of_recording() {
                Some(Ok(Line::Header(header))) => {
                    for warning in header.warnings {
                        eprintln!("recording: {warning}");
                    }
                }
                Some(Err(error @ (LineError::Form(_) | LineError::Io(_)))) => {
                    return Err(Failure::context(name, error));
                }
                _ => {
                    return Err(Failure::new(format!(
                        "{name}: no recording: its first line is no header (--bodies reads plain bodies)"
                    )));
                }
            }
        }
        Ok(Self {
            lines,
            bodies_to: arguments.bodies_to.clone(),
            tokens,
            repeats: arguments.requests.is_some() || arguments.time.is_some(),
            is_first_pass: true,
            fed_in_pass: 0,
            skipped: Skipped::default(),
        })
    }

    /// What was left out so far.
    pub fn skipped(&self) -> Skipped {
        self.skipped.clone()
    }

    /// The next request. `None`: there is no more.
    ///
    /// # Errors
    /// When the file cannot be read on.
    pub fn next(&mut self) -> Result<Option<Fed>, Failure> {
        loop {
            let request = match &self.bodies_to {
                Some(target) => match self.lines.next_line() {
                    Some(Ok(body)) => Some(Ok(Request::of_body(body, target))),
                    Some(Err(error)) => Some(Err(error)),
                    None => None,
                },
                None => match self.lines.next_of_recording() {
                    Some(Ok(Line::Entry(entry))) => Some(Ok(Request::of_entry(*entry))),
                    Some(Ok(Line::Header(_) | Line::End(_))) => continue,
                    Some(Err(error)) => Some(Err(error)),
                    None => None,
                },
            };
            match request {
                Some(Ok(Ok(shown))) => match shown.ready(&self.tokens) {
                    Ok(ready) => {
                        self.fed_in_pass += 1;
                        return Ok(Some(Fed {
                            shown: Arc::new(shown),
                            ready: Arc::new(ready),
                        }));
                    }
                    Err(error) => self.unsendable(error),
                },
                Some(Ok(Err(error))) => self.unsendable(error),
                Some(Err(LineError::Io(error))) => return Err(Failure::context("cannot read on", error)),
                Some(Err(error)) => self.malformed(&error),
                None => {
                    if !self.repeats || self.fed_in_pass == 0 {
                        return Ok(None);
                    }
                    self.is_first_pass = false;
                    self.fed_in_pass = 0;
                    self.lines
                        .reader_mut()
                        .seek(SeekFrom::Start(0))
                        .map_err(|error| Failure::context("cannot begin the file again", error))?;
                }
            }
        }
    }

    fn malformed(&mut self, error: &LineError) {
        if self.is_first_pass {
            self.skipped.malformed += 1;
            self.name_line(error);
        }
    }

    fn unsendable(&mut self, error: RequestError) {
        if !self.is_first_pass {
            return;
        }
        match error {
            RequestError::Token => self.skipped.unnamed_tokens += 1,
            RequestError::Head | RequestError::Body => self.skipped.unsendable += 1,
        }
        self.name_line(&error);
    }

    fn name_line(&self, error: &dyn std::error::Error) {
        let named = self.skipped.total();
        if named <= NAMED_MAX {
            eprintln!("line {} is left out: {error}", self.lines.number());
        }
        if named == NAMED_MAX {
            eprintln!("more such lines are only counted");
        }
    }
}
