//! Arguments to a command. Settings are variables (`config`); arguments choose what to do and where.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use lexopt::prelude::*;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Dev(Dev),
    Import(Import),
    Serve,
    Help(&'static str),
    Version,
}

/// Arguments of `dev`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dev {
    /// Instead of `ADDRESS`.
    pub address: Option<SocketAddr>,
    /// SQLite file; `None`: a temporary one.
    pub store: Option<PathBuf>,
    /// Project document to import first; `None`: the sample project, if the store is empty.
    pub project: Option<PathBuf>,
}

/// Arguments of `import`.
#[derive(Debug, PartialEq, Eq)]
pub struct Import {
    pub document: Document,
    /// SQLite file.
    pub store: PathBuf,
}

/// Where a project document is read from.
#[derive(Debug, PartialEq, Eq)]
pub enum Document {
    File(PathBuf),
    StandardInput,
}

/// Where `import` writes when it is not told, and where `dev --store` would look for it.
const DEFAULT_STORE: &str = "feature-flags.sqlite";

const HELP: &str = "\
Feature flag evaluation server for PostHog SDKs.

Usage: feature-flags <COMMAND> [OPTIONS]

Commands:
  dev      Serve from one SQLite file, with a sample project; nothing to install
  import   Load a project document into a SQLite file
  serve    Serve from PostgreSQL, Redis and S3 (not built into this version)

Options:
  -h, --help      This text; 'feature-flags <COMMAND> --help' says more
  -V, --version   The version

Settings are read from variables of the environment, such as ADDRESS=127.0.0.1:3001.

Exit status: 0 after an orderly end, 1 when something failed, 2 for wrong usage.
";

const DEV_HELP: &str = "\
Serve from one SQLite file. Prints the address, each project's token and a curl line to try.

Usage: feature-flags dev [OPTIONS]

Options:
  --address ADDRESS   Address and port to listen on instead of the variable ADDRESS;
                      port 0 takes a free one           [default: 127.0.0.1:3001]
  --store FILE        SQLite file to serve from, made if absent
                                                        [default: a temporary file]
  --project FILE      Project document to load before serving
                                      [default: a sample project, if the store is empty]
  -h, --help          This text

Ends on SIGINT (Ctrl-C) or SIGTERM once requests in flight are answered; a second signal ends at once.
";

const IMPORT_HELP: &str = "\
Load a project document (team, flags, cohorts, persons, groups) into a SQLite file.
All or nothing: every error is reported with its place, and then nothing has changed.

Usage: feature-flags import [OPTIONS] <FILE | ->

Arguments:
  FILE           A JSON object, an array of objects, or one object a line; '-' reads standard input

Options:
  --store FILE   SQLite file to write to, made if absent   [default: feature-flags.sqlite]
  -h, --help     This text
";

const SERVE_HELP: &str = "\
Serve from PostgreSQL, Redis and S3.

Usage: feature-flags serve

Connected storage is not built into this version: the command names the variables that it would read
and ends with status 2. 'feature-flags dev' serves from one SQLite file.
";

/// Reads the arguments; the first is the program.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    let mut parser = lexopt::Parser::from_iter(arguments);
    match parser.next()? {
        None | Some(Short('h') | Long("help")) => Ok(Command::Help(HELP)),
        Some(Short('V') | Long("version")) => Ok(Command::Version),
        Some(Value(name)) => match name.to_str() {
            Some("dev") => dev(parser),
            Some("import") => import(parser),
            Some("serve") => serve(parser),
            Some("help") => Ok(Command::Help(HELP)),
            _ => Err(format!("no command {name:?}").into()),
        },
        Some(other) => Err(other.unexpected()),
    }
}

fn dev(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut dev = Dev::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("address") => dev.address = Some(parser.value()?.parse()?),
            Long("store") => dev.store = Some(parser.value()?.into()),
            Long("project") => dev.project = Some(parser.value()?.into()),
            Short('h') | Long("help") => return Ok(Command::Help(DEV_HELP)),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Dev(dev))
}

fn import(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut document = None;
    let mut store = PathBuf::from(DEFAULT_STORE);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("store") => store = parser.value()?.into(),
            Short('h') | Long("help") => return Ok(Command::Help(IMPORT_HELP)),
            Value(path) if document.is_none() => {
                document = Some(if path == "-" {
                    Document::StandardInput
                } else {
                    Document::File(path.into())
                });
            }
            other => return Err(other.unexpected()),
        }
    }
    let document = document.ok_or("import needs a FILE, or '-' for standard input")?;
    Ok(Command::Import(Import { document, store }))
}

fn serve(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    match parser.next()? {
        None => Ok(Command::Serve),
        Some(Short('h') | Long("help")) => Ok(Command::Help(SERVE_HELP)),
        Some(other) => Err(other.unexpected()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, Dev, Document, Import, parse};

    fn parsed(arguments: &[&str]) -> Result<Command, String> {
        let all = std::iter::once("feature-flags").chain(arguments.iter().copied());
        parse(all.map(Into::into)).map_err(|error| error.to_string())
    }

    #[test]
    fn dev_takes_its_options_in_both_forms() {
        let expected = Command::Dev(Dev {
            address: Some("0.0.0.0:80".parse().unwrap()),
            store: Some("a.sqlite".into()),
            project: Some("p.json".into()),
        });
        let arguments = [
            "dev",
            "--address",
            "0.0.0.0:80",
            "--store=a.sqlite",
            "--project",
            "p.json",
        ];
        assert_eq!(parsed(&arguments), Ok(expected));
        assert_eq!(parsed(&["dev"]), Ok(Command::Dev(Dev::default())));
    }

    #[test]
    fn import_needs_exactly_one_document() {
        let expected = Import {
            document: Document::StandardInput,
            store: "feature-flags.sqlite".into(),
        };
        assert_eq!(parsed(&["import", "-"]), Ok(Command::Import(expected)));
        assert!(parsed(&["import"]).unwrap_err().contains("FILE"));
        assert!(parsed(&["import", "a", "b"]).is_err());
    }

    #[test]
    fn help_is_there_at_every_level() {
        for arguments in [
            &["--help"][..],
            &["-h"],
            &[],
            &["help"],
            &["dev", "--help"],
            &["import", "-h"],
        ] {
            assert!(matches!(parsed(arguments), Ok(Command::Help(_))), "{arguments:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(parsed(&["sevre"]).unwrap_err().contains("sevre"));
        assert!(
            parsed(&["dev", "--adress", "x"])
                .unwrap_err()
                .contains("--adress")
        );
        assert!(
            parsed(&["dev", "--address", "nowhere"])
                .unwrap_err()
                .contains("nowhere")
        );
        assert!(parsed(&["serve", "now"]).unwrap_err().contains("now"));
    }
}
