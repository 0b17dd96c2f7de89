//! The one place where commands meet the embedded store.

use std::convert::Infallible;
use std::path::Path;

use feature_flags::config::Config;
use feature_flags::http::AppState;

use super::Failure;

/// A store in one SQLite file. Not built into this version, so none can exist.
pub struct Embedded {
    never: Infallible,
}

/// A project of the store, as it is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    pub name: String,
    pub token: String,
}

impl Embedded {
    /// Opens or makes the file; `None`: a temporary one that goes with the store.
    pub fn open(_file: Option<&Path>) -> Result<Self, Failure> {
        Err(Failure::new("the embedded store is not built into this version"))
    }

    /// Loads a project document, all or nothing. One line a project, for people.
    pub async fn import(&self, _document: &[u8]) -> Result<Vec<String>, Failure> {
        match self.never {}
    }

    /// All projects, in the order of their ids.
    pub async fn projects(&self) -> Result<Vec<Project>, Failure> {
        match self.never {}
    }

    /// State of a process that serves from this store.
    pub fn app_state(&self, _config: &Config) -> Result<AppState, Failure> {
        match self.never {}
    }
}
