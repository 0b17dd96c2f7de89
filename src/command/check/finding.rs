//! What one check found, and how findings are shown.

use std::fmt::Write;

use feature_flags::config::{Origin, Setting};

/// What a finding means for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Good,
    /// It can run; something will not be as wanted.
    Warning,
    /// It cannot start, or cannot use what the settings name.
    Problem,
}

/// One check and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The setting or dependency.
    pub subject: String,
    /// Which variable decided it.
    pub from: String,
    /// What it means.
    pub level: Level,
    /// What was found.
    pub said: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    /// A check that is passed.
    pub fn good(subject: &str, from: String, said: impl Into<String>) -> Self {
        Self {
            subject: subject.to_owned(),
            from,
            level: Level::Good,
            // One row a finding, whatever a library says.
            said: said.into().replace('\n', " "),
            advice: None,
        }
    }

    /// A check that is not.
    pub fn bad(
        level: Level,
        subject: &str,
        from: String,
        said: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            level,
            advice: Some(advice.into()),
            ..Self::good(subject, from, said)
        }
    }

    /// In one line, for the start of a server.
    pub fn line(&self) -> String {
        let mut line = format!("{}: {} ({})", self.subject, self.said, self.from);
        if let Some(advice) = &self.advice {
            let _ = write!(line, "; {advice}");
        }
        line
    }
}

/// The variable that decided a setting, with the file it names or that nobody set it.
pub fn from(settings: &[Setting], name: &str) -> String {
    let Some(setting) = settings.iter().find(|setting| setting.variable.name == name) else {
        return name.to_owned();
    };
    match &setting.origin {
        Origin::Default => format!("{name} (default)"),
        Origin::Variable => name.to_owned(),
        Origin::File(path) => format!("{} ({})", setting.decided_by(), path.display()),
    }
}

/// The name that an operator has to change.
pub fn decided_by<'s>(settings: &'s [Setting], name: &'s str) -> &'s str {
    settings
        .iter()
        .find(|setting| setting.variable.name == name)
        .map_or(name, |setting| setting.decided_by())
}

const HEADINGS: [&str; 4] = ["CHECK", "FROM", "RESULT", "DETAIL"];

/// All findings as one table, advice below its finding, and a last line with the verdict.
pub fn table(findings: &[Finding]) -> String {
    let word = |level| match level {
        Level::Good => "ok",
        Level::Warning => "warning",
        Level::Problem => "problem",
    };
    let width = |heading: &str, cell: fn(&Finding) -> &str| {
        let cells = findings.iter().map(|finding| cell(finding).chars().count());
        cells.max().unwrap_or_default().max(heading.len())
    };
    let subject = width(HEADINGS[0], |finding| &finding.subject);
    let from = width(HEADINGS[1], |finding| &finding.from);
    let result = "problem".len();
    let mut text = String::new();
    let mut row = |cells: [&str; 4]| {
        let [first, second, third, last] = cells;
        let line = format!("{first:subject$}  {second:from$}  {third:result$}  {last}");
        text.push_str(line.trim_end());
        text.push('\n');
    };
    row(HEADINGS);
    for finding in findings {
        row([
            &finding.subject,
            &finding.from,
            word(finding.level),
            &finding.said,
        ]);
        if let Some(advice) = &finding.advice {
            row(["", "", "", &format!("-> {advice}")]);
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let warnings = plural(count(Level::Warning), "warning");
    let verdict = match count(Level::Problem) {
        0 => format!("usable, {warnings}"),
        problems => format!("not usable: {}, {warnings}", plural(problems, "problem")),
    };
    text.push_str(&verdict);
    text.push('\n');
    text
}
