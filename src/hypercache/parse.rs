//! Texts of entries to definitions, one flag and one cohort at a time (`storage.md` 3).
//!
//! What cannot be read costs only itself: a flag becomes one that evaluates to an error, metadata is rebuilt from
//! the flags. Only a text without a list of flags is unreadable as a whole.

mod definitions;
mod depth;
mod team;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use sonic_rs::{JsonValueTrait, LazyValue};

use crate::definition::{EvaluationMetadata, MalformedFlag, RawCohort, RawFlag};
use depth::is_too_deep;

pub use definitions::{ParsedDefinitions, parse_definitions};
pub use team::{TeamIdentity, parse_identity, parse_team};

/// Largest text of an entry that is read, in bytes.
const TEXT_BYTES_MAX: usize = 256 << 20;

/// `flags.json` as definitions.
#[derive(Debug, Default)]
pub struct ParsedFlags {
    /// Flags that parsed, in order.
    pub flags: Vec<RawFlag>,
    /// Flags that did not.
    pub malformed_flags: Vec<MalformedFlag>,
    /// Flags that did not, and that have no id or key to report them by.
    pub dropped_flags: usize,
    /// `None`: absent, unreadable or without stages; to be rebuilt.
    pub evaluation_metadata: Option<EvaluationMetadata>,
    /// `None`: the writer left cohorts out, so they are read from the database.
    pub cohorts: Option<Vec<RawCohort>>,
    /// Cohorts that cannot be read; they count as missing.
    pub dropped_cohorts: usize,
}

/// A text that is no entry of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseError {
    /// Not JSON, or without what makes an entry.
    Shape(String),
    /// A team with another token than the one asked for.
    OtherToken,
}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(detail) => write!(formatter, "entry unreadable: {detail}"),
            Self::OtherToken => formatter.write_str("team entry holds another token"),
        }
    }
}

impl std::error::Error for ParseError {}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    flags: Vec<LazyValue<'a>>,
    #[serde(borrow, default)]
    evaluation_metadata: Option<LazyValue<'a>>,
    #[serde(borrow, default)]
    cohorts: Option<LazyValue<'a>>,
}

#[derive(Deserialize)]
struct Metadata {
    dependency_stages: Vec<Vec<i32>>,
    flags_with_missing_deps: Vec<i32>,
    transitive_deps: HashMap<String, Vec<i32>>,
}

/// Reads `flags.json`.
///
/// # Errors
/// When the text is no JSON object with an array `flags`.
pub fn parse_flags(text: &str) -> Result<ParsedFlags, ParseError> {
    // Checked once for all: the parsers below recurse.
    if is_too_deep(text) {
        return Err(ParseError::Shape("nested too deep".to_owned()));
    }
    let document: Document<'_> =
        sonic_rs::from_str(text).map_err(|error| ParseError::Shape(error.to_string()))?;
    let mut parsed = ParsedFlags::default();
    for flag in &document.flags {
        parsed.flag(flag);
    }
    let stages = document.evaluation_metadata.as_ref();
    let stages = stages.and_then(|raw| parse_metadata(raw.as_raw_str()));
    parsed.evaluation_metadata =
        stages.filter(|metadata| !metadata.dependency_stages.is_empty() || document.flags.is_empty());
    if let Some(cohorts) = document.cohorts.filter(JsonValueTrait::is_array) {
        parsed.cohorts(cohorts.as_raw_str());
    }
    Ok(parsed)
}

impl ParsedFlags {
    fn flag(&mut self, raw: &LazyValue<'_>) {
        let error = match sonic_rs::from_str::<RawFlag>(raw.as_raw_str()) {
            Ok(flag) => return self.flags.push(flag),
            Err(error) => error,
        };
        let id = raw.get("id").and_then(|id| i32::try_from(id.as_i64()?).ok());
        let key = raw.get("key").and_then(|key| key.as_str().map(str::to_owned));
        match (id, key) {
            (Some(id), Some(key)) => self.malformed_flags.push(MalformedFlag {
                id,
                key,
                error: error.to_string(),
            }),
            _ => self.dropped_flags += 1,
        }
    }

    fn cohorts(&mut self, raw: &str) {
        let Ok(list) = sonic_rs::from_str::<Vec<LazyValue<'_>>>(raw) else {
            return;
        };
        let mut cohorts = Vec::with_capacity(list.len());
        for cohort in &list {
            match sonic_rs::from_str::<RawCohort>(cohort.as_raw_str()) {
                Ok(cohort) => cohorts.push(cohort),
                Err(_) => self.dropped_cohorts += 1,
            }
        }
        self.cohorts = Some(cohorts);
    }
}

/// All three members or nothing: without one of them a flag could pass for sound.
fn parse_metadata(raw: &str) -> Option<EvaluationMetadata> {
    let metadata: Metadata = sonic_rs::from_str(raw).ok()?;
    let closures = metadata.transitive_deps.into_iter();
    let closures = closures.map(|(id, closure)| Some((id.parse().ok()?, closure)));
    Some(EvaluationMetadata {
        dependency_stages: metadata.dependency_stages,
        flags_with_missing_deps: metadata.flags_with_missing_deps,
        transitive_deps: closures.collect::<Option<_>>()?,
    })
}

/// Checks that the text of `array/config.json` is an object, which is all that is asked of it.
///
/// # Errors
/// When it is not.
pub fn parse_config(text: &str) -> Result<(), ParseError> {
    match super::json::Json::parse(text, TEXT_BYTES_MAX) {
        Ok(super::json::Json::Object(_)) => Ok(()),
        Ok(_) => Err(ParseError::Shape("not an object".to_owned())),
        Err(error) => Err(ParseError::Shape(error.to_string())),
    }
}
