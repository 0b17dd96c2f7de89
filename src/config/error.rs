//! Why the process cannot start with these variables.

use std::borrow::Cow;
use std::fmt;

/// One variable that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidVariable {
    /// The variable.
    pub name: &'static str,
    /// What was set; hidden when the variable holds a credential.
    pub value: String,
    /// The form that would have been accepted.
    pub expected: Cow<'static, str>,
}

/// All variables that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// In the order of the settings; never empty.
    pub invalid: Vec<InvalidVariable>,
}

impl fmt::Display for InvalidVariable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}={:?}: expected {}",
            self.name, self.value, self.expected
        )
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("invalid configuration")?;
        for variable in &self.invalid {
            write!(formatter, "\n  {variable}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
