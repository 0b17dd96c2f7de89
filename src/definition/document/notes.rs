//! What is wrong with a document, and what is merely odd.

use std::fmt;

use super::path::Path;

/// Problems and warnings kept; more are only counted, so that a hostile document cannot grow the report without bound.
pub const PROBLEMS_MAX: usize = 10_000;

/// Characters of an offending value that are shown.
const SNIPPET_CHARS: usize = 80;

/// Something that stops an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportProblem {
    /// JSON path, `$[0].flags[3].key`.
    pub path: String,
    /// The offending value as it stands in the document, shortened; empty when it is absent.
    pub value: String,
    /// What should stand there.
    pub expected: String,
}

impl fmt::Display for ImportProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.value.is_empty() {
            "nothing"
        } else {
            &self.value
        };
        write!(formatter, "{}: {}: expected {}", self.path, value, self.expected)
    }
}

/// Something that an import accepts, and that its author may not have meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportWarning {
    /// JSON path.
    pub path: String,
    /// What is odd.
    pub message: String,
}

impl fmt::Display for ImportWarning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: warning: {}", self.path, self.message)
    }
}

/// Collects problems and warnings of one import.
#[derive(Debug, Default)]
pub struct Notes {
    /// Problems in the order in which they were found.
    pub problems: Vec<ImportProblem>,
    /// Warnings in the order in which they were found.
    pub warnings: Vec<ImportWarning>,
    problems_dropped: usize,
}

impl Notes {
    /// Adds a problem at a path that is already text.
    pub fn problem_at(&mut self, path: String, value: &str, expected: impl Into<String>) {
        if self.problems.len() == PROBLEMS_MAX {
            self.problems_dropped += 1;
            return;
        }
        self.problems.push(ImportProblem {
            path,
            value: snippet(value),
            expected: expected.into(),
        });
    }

    /// Adds a warning at a path that is already text.
    pub fn warn_at(&mut self, path: String, message: impl Into<String>) {
        if self.warnings.len() < PROBLEMS_MAX {
            self.warnings.push(ImportWarning {
                path,
                message: message.into(),
            });
        }
    }

    pub(super) fn problem(&mut self, path: &Path<'_>, value: &str, expected: impl Into<String>) {
        self.problem_at(path.to_string(), value, expected);
    }

    pub(super) fn warn(&mut self, path: &Path<'_>, message: impl Into<String>) {
        self.warn_at(path.to_string(), message);
    }

    /// All problems; the last entry says how many were only counted.
    pub fn into_problems(mut self) -> Vec<ImportProblem> {
        if self.problems_dropped > 0 {
            let expected = format!("no problems; {} more are not shown", self.problems_dropped);
            self.problems.push(ImportProblem {
                path: "$".to_owned(),
                value: String::new(),
                expected,
            });
        }
        self.problems
    }
}

/// The value on one line, shortened.
fn snippet(value: &str) -> String {
    let mut shown: String = value
        .chars()
        .take(SNIPPET_CHARS)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    if value.chars().nth(SNIPPET_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shortened_and_stay_on_one_line() {
        assert_eq!(snippet("a\nb"), "a b");
        let long = snippet(&"ä".repeat(200));
        assert_eq!(long.chars().count(), SNIPPET_CHARS + 1);
    }

    #[test]
    fn problems_beyond_the_bound_are_counted() {
        let mut notes = Notes::default();
        for _ in 0..PROBLEMS_MAX + 3 {
            notes.problem_at("$".to_owned(), "1", "text");
        }
        let problems = notes.into_problems();
        assert_eq!(problems.len(), PROBLEMS_MAX + 1);
        assert!(problems[PROBLEMS_MAX].expected.contains("3 more"));
    }
}
