//! `config`: every setting as it is in force, and who decided it. Shows no password.

use std::process::ExitCode;

use feature_flags::config::{Config, Environment, Origin, Reading, SECTIONS, Setting, stray_variables};
use serde_json::{Value, json};

use super::Failure;
use crate::cli::ShowConfig;

/// Prints the settings. Exit code 1 when some cannot be used; they are named on standard error.
///
/// # Errors
/// Names what cannot be used.
pub fn run(arguments: &ShowConfig) -> Result<ExitCode, Failure> {
    let Reading { settings, config } = Config::read_all(&Environment);
    let mut warnings = stray_variables(&Environment);
    if let Ok(config) = &config {
        warnings.extend(config.warnings());
    }
    if arguments.json {
        let errors = config.as_ref().err().map(|error| &error.invalid);
        let errors: Vec<String> = errors.into_iter().flatten().map(ToString::to_string).collect();
        println!("{:#}", document(&settings, &warnings, &errors));
    } else {
        print!("{}", listing(&settings));
        for warning in &warnings {
            eprintln!("warning: {warning}");
        }
    }
    match config {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Failure::new(error.to_string())),
    }
}

/// Sections of aligned lines: name, value, who decided it.
fn listing(settings: &[Setting]) -> String {
    let width = |cell: fn(&Setting) -> &str| {
        let cells = settings.iter().map(|setting| cell(setting).chars().count());
        cells.max().unwrap_or_default()
    };
    let (name_width, value_width) = (
        width(|setting| setting.variable.name),
        width(|setting| &setting.shown).min(60),
    );
    let mut text = String::new();
    let mut rest = settings.iter();
    for (title, variables) in SECTIONS {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("# {title}\n"));
        for setting in rest.by_ref().take(variables.len()) {
            let (name, value) = (setting.variable.name, &setting.shown);
            text.push_str(&format!(
                "{name:name_width$}  {value:value_width$}  {}\n",
                setting.origin
            ));
        }
    }
    text
}

fn document(settings: &[Setting], warnings: &[String], errors: &[String]) -> Value {
    let titles = SECTIONS
        .iter()
        .flat_map(|(title, variables)| variables.iter().map(move |_| *title));
    let rows: Vec<Value> = settings
        .iter()
        .zip(titles)
        .map(|(setting, section)| {
            let (source, file) = match &setting.origin {
                Origin::Default => ("default", Value::Null),
                Origin::Variable => ("variable", Value::Null),
                Origin::File(path) => ("file", json!(path.display().to_string())),
            };
            json!({
                "name": setting.variable.name,
                "value": setting.shown,
                "source": source,
                "file": file,
                "secret": setting.variable.is_secret(),
                "section": section,
                "meaning": setting.variable.meaning,
            })
        })
        .collect();
    json!({ "settings": rows, "warnings": warnings, "errors": errors })
}
