//! Reads variables one after the other, notes where each value came from, and collects what cannot be used.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use super::Variable;
use super::error::InvalidVariable;
use super::mask::{masked_url, shown_value};
use super::origin::{Origin, Setting};
use super::parse::Expected;

/// Most bytes of a file with a secret: a URL is a line, and what is larger is some other file.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Shown for a value that could not be read at all.
const UNREADABLE: &str = "(unusable)";

/// Where variables come from.
pub trait Source {
    /// The value of a variable; `None` when it is not set. Bytes that are not UTF-8 come as U+FFFD, so
    /// that the parser refuses them and the message shows where.
    fn get(&self, name: &str) -> Option<String>;

    /// The names of all variables that are set, in any order; none where nobody knows.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The environment of the process.
#[derive(Debug, Clone, Copy)]
pub struct Environment;

impl Source for Environment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn names(&self) -> Vec<String> {
        std::env::vars_os()
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .collect()
    }
}

impl Source for std::collections::HashMap<&str, &str> {
    fn get(&self, name: &str) -> Option<String> {
        std::collections::HashMap::get(self, name).map(|value| (*value).to_owned())
    }

    fn names(&self) -> Vec<String> {
        self.keys().map(|name| (*name).to_owned()).collect()
    }
}

pub(super) struct Reader<'a> {
    source: &'a dyn Source,
    settings: Vec<Setting>,
    invalid: Vec<InvalidVariable>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a dyn Source) -> Self {
        Self {
            source,
            settings: Vec::new(),
            invalid: Vec::new(),
        }
    }

    /// What was read, and what of it cannot be used.
    pub(super) fn into_parts(self) -> (Vec<Setting>, Vec<InvalidVariable>) {
        (self.settings, self.invalid)
    }

    /// The parsed value, or the parsed default; `None` after noting that the value cannot be used.
    pub(super) fn read<T>(
        &mut self,
        variable: &'static Variable,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        let found = self.find(variable);
        let (text, origin) = match found {
            Ok(found) => found,
            Err((origin, invalid)) => {
                self.note(variable, origin, UNREADABLE.to_owned());
                self.invalid.push(invalid);
                return None;
            }
        };
        let shown = if variable.is_secret() {
            masked_url(&text)
        } else {
            shown_value(&text)
        };
        let parsed = parse(&text).map_err(|expected| match &origin {
            Origin::File(path) => InvalidVariable {
                name: variable.file.unwrap_or(variable.name),
                value: path.display().to_string(),
                expected: format!("a file that holds {expected}").into(),
            },
            Origin::Default | Origin::Variable => InvalidVariable {
                name: variable.name,
                value: if variable.is_secret() {
                    "(hidden)".to_owned()
                } else {
                    shown.clone()
                },
                expected,
            },
        });
        self.note(variable, origin, shown);
        parsed.map_err(|invalid| self.invalid.push(invalid)).ok()
    }

    fn note(&mut self, variable: &'static Variable, origin: Origin, shown: String) {
        self.settings.push(Setting {
            variable,
            origin,
            shown,
        });
    }

    /// The text of a value and who decided it; an empty `_FILE` form counts as not set.
    fn find(&self, variable: &'static Variable) -> Result<(String, Origin), (Origin, InvalidVariable)> {
        let set = self.source.get(variable.name);
        let named = variable.file.and_then(|file| {
            let path = self.source.get(file).filter(|path| !path.is_empty())?;
            Some((file, path))
        });
        let Some((file, path)) = named else {
            return Ok(match set {
                Some(text) => (text, Origin::Variable),
                None => (variable.default.to_owned(), Origin::Default),
            });
        };
        // A URL in the place of a path is a mistake that must not be repeated aloud.
        let origin = Origin::File(PathBuf::from(shown_path(&path)));
        if set.is_some_and(|text| !text.is_empty()) {
            let invalid = InvalidVariable {
                name: variable.name,
                value: "(hidden)".to_owned(),
                expected: format!("only one of {} and {file}", variable.name).into(),
            };
            return Err((origin, invalid));
        }
        match read_secret(&path) {
            Ok(text) => Ok((text, origin)),
            Err(error) => {
                let invalid = InvalidVariable {
                    name: file,
                    value: shown_path(&path),
                    expected: format!("a readable file ({error})").into(),
                };
                Err((origin, invalid))
            }
        }
    }
}

fn shown_path(path: &str) -> String {
    if path.contains("://") || path.contains('@') {
        shown_value(path)
    } else {
        path.to_owned()
    }
}

/// The text of a file without one end of line, which editors add.
fn read_secret(path: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(SECRET_FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > SECRET_FILE_BYTES_MAX {
        return Err(io::Error::other(format!(
            "larger than {SECRET_FILE_BYTES_MAX} bytes"
        )));
    }
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}
