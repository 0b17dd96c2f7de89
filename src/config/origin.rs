//! Where a value came from, for people who wonder why it is what it is.

use std::fmt;
use std::path::PathBuf;

use super::Variable;

/// Who decided a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The variable itself.
    Variable,
    /// The file that the variable's `_FILE` form names.
    File(PathBuf),
}

/// One setting as it is in force, or as it was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Which.
    pub variable: &'static Variable,
    /// Who decided it.
    pub origin: Origin,
    /// The value as text. URLs show neither password nor what could be one.
    pub shown: String,
}

impl Setting {
    /// Name of the variable that was set, or would have to be.
    #[must_use]
    pub fn decided_by(&self) -> &'static str {
        match (&self.origin, self.variable.file) {
            (Origin::File(_), Some(file)) => file,
            _ => self.variable.name,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::Variable => formatter.write_str("variable"),
            Self::File(path) => write!(formatter, "file {}", path.display()),
        }
    }
}
