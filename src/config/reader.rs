//! Reads variables one after the other and collects what cannot be used.

use super::Variable;
use super::error::InvalidVariable;
use super::parse::Expected;

/// Where variables come from.
pub trait Source {
    /// The value of a variable; `None` when it is not set. Bytes that are not UTF-8 come as U+FFFD, so
    /// that the parser refuses them and the message shows where.
    fn get(&self, name: &str) -> Option<String>;
}

/// The environment of the process.
#[derive(Debug, Clone, Copy)]
pub struct Environment;

impl Source for Environment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }
}

impl Source for std::collections::HashMap<&str, &str> {
    fn get(&self, name: &str) -> Option<String> {
        std::collections::HashMap::get(self, name).map(|value| (*value).to_owned())
    }
}

pub(super) struct Reader<'a> {
    source: &'a dyn Source,
    invalid: Vec<InvalidVariable>,
    set: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a dyn Source) -> Self {
        Self {
            source,
            invalid: Vec::new(),
            set: Vec::new(),
        }
    }

    /// What cannot be used, and the names of the variables that were set.
    pub(super) fn finish(self) -> (Vec<InvalidVariable>, Vec<&'static str>) {
        (self.invalid, self.set)
    }

    /// The parsed value, or the parsed default; `None` after noting that the value cannot be used.
    pub(super) fn read<T>(
        &mut self,
        variable: &Variable,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        let set = self.source.get(variable.name);
        if set.is_some() {
            self.set.push(variable.name);
        }
        let text = set.as_deref().unwrap_or(variable.default);
        match parse(text) {
            Ok(value) => Some(value),
            Err(expected) => {
                let value = if holds_credential(variable.name) {
                    "(hidden)".to_owned()
                } else {
                    text.to_owned()
                };
                self.invalid.push(InvalidVariable {
                    name: variable.name,
                    value,
                    expected,
                });
                None
            }
        }
    }
}

/// URLs of stores carry passwords; messages end up in logs.
fn holds_credential(name: &str) -> bool {
    name.ends_with("DATABASE_URL") || name.ends_with("REDIS_URL") || name.ends_with("REDIS_READER_URL")
}
