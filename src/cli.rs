//! Arguments to a command. Settings are variables (`config`); arguments choose what to do and where.

mod canary;
mod replay;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

pub use canary::Canary;
pub use replay::Replay;

/// What to do.
#[derive(Debug, PartialEq)]
pub enum Command {
    Canary(Box<Canary>),
    Check,
    Config(ShowConfig),
    Dev(Dev),
    HealthCheck(HealthCheck),
    Import(Import),
    Replay(Box<Replay>),
    Serve,
    Warm(Warm),
    Help(&'static str),
    Version,
}

/// Arguments of `config`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ShowConfig {
    /// For programs instead of people.
    pub json: bool,
}

/// Arguments of `healthcheck`.
#[derive(Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// `http://HOST[:PORT]`; `None`: that of `ADDRESS`.
    pub url: Option<String>,
    /// `None`: `/_readiness`.
    pub path: Option<String>,
    /// For the whole answer.
    pub time_limit: Duration,
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
    /// SQLite file; `None`: PostgreSQL, and then the entries in Redis and S3.
    pub store: Option<PathBuf>,
}

/// Arguments of `warm`.
#[derive(Debug, PartialEq, Eq)]
pub struct Warm {
    /// These teams; empty: all.
    pub teams: Vec<i32>,
    /// Teams at the same time.
    pub concurrency: usize,
    /// Compare, but write nothing.
    pub dry_run: bool,
    /// Write what looks unchanged too.
    pub force: bool,
}

/// Where a project document is read from.
#[derive(Debug, PartialEq, Eq)]
pub enum Document {
    File(PathBuf),
    StandardInput,
}

/// For a probe's answer, unless said otherwise.
const HEALTHCHECK_LIMIT: Duration = Duration::from_secs(3);

/// Teams that `warm` builds at the same time.
const WARM_CONCURRENCY: usize = 4;

const HELP: &str = "\
Feature flag evaluation server for PostHog SDKs.

Usage: feature-flags <COMMAND> [OPTIONS]

Commands:
  dev      Serve from one SQLite file, with a sample project; nothing to install
  serve    Serve from the Redis, S3 and PostgreSQL of a running PostHog
  warm     Build cache entries from PostgreSQL into Redis and S3
  import   Load a project document into a SQLite file, or into PostgreSQL
  check    Check settings, machine and stores, and say what to do; the exit status tells
  replay   Send recorded requests to two servers and compare their answers
  canary   Judge a new version against the running one by what was measured of both
  config   Show every setting in force and where it came from, passwords hidden
  healthcheck
           Ask a running server for a probe, for containers without a shell

Options:
  -h, --help      This text; 'feature-flags <COMMAND> --help' says more
  -V, --version   The version

Settings are read from variables of the environment, such as ADDRESS=127.0.0.1:3001. URLs with passwords can be
in files instead: REDIS_URL_FILE=/run/secrets/redis.

Exit status: 0 after an orderly end, 1 when something failed, 2 for wrong usage; 'canary' has its own.
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
Load a project document (team, flags, cohorts, persons, groups) into PostgreSQL and build its cache entries,
or into a SQLite file. All or nothing: every error is reported with its place, and then nothing has changed.

Usage: feature-flags import [OPTIONS] <FILE | ->

Arguments:
  FILE           A JSON object, an array of objects, or one object a line; '-' reads standard input

Options:
  --store FILE   SQLite file to write to, made if absent
                 [default: PostgreSQL, Redis and S3 of the variables that 'serve' reads]
  -h, --help     This text
";

const SERVE_HELP: &str = "\
Serve from the Redis, S3 and PostgreSQL of a running PostHog.

Usage: feature-flags serve

Everything is set by variables: REDIS_URL, READ_DATABASE_URL, WRITE_DATABASE_URL, PERSONS_READ_DATABASE_URL,
PERSONS_WRITE_DATABASE_URL, OBJECT_STORAGE_BUCKET, OBJECT_STORAGE_ENDPOINT, ADDRESS and others; the README lists them.
What cannot be reached at start is named once and retried; the service starts all the same.
Ends on SIGINT (Ctrl-C) or SIGTERM once requests in flight are answered; a second signal ends at once.
";

const CHECK_HELP: &str = "\
Check what 'serve' depends on: settings, the address, open files, processors, the location database, and each Redis
server, PostgreSQL pool and bucket. Prints one table: what, which variable decided it, the result, and what to do.
Nothing is written anywhere.

Usage: feature-flags check

Exit status: 0 when everything can be used, warnings or not; 1 when something cannot.
";

const CONFIG_HELP: &str = "\
Show every setting in force: name, value, and whether it is the default, a variable or a file. Passwords are hidden.

Usage: feature-flags config [--json]

Options:
  --json         One JSON document, with meanings, warnings and errors

Exit status: 1 when a setting cannot be used.
";

const HEALTHCHECK_HELP: &str = "\
Ask a running server for a probe; for containers without a shell.

Usage: feature-flags healthcheck [OPTIONS]

Options:
  --url URL         Where it listens, http://HOST[:PORT]             [default: that of the variable ADDRESS]
  --path PATH       Which probe: /_readiness, /_liveness, /_startup  [default: /_readiness]
  --timeout-ms N    For the whole answer                             [default: 3000]
  -h, --help        This text

Exit status: 0 when the answer is 200, 1 otherwise.
";

const WARM_HELP: &str = "\
Build the cache entries of teams (flags, definitions, team, configuration) from PostgreSQL into Redis and S3,
as Django would. Entries that are as they should be are left alone.

Usage: feature-flags warm <--team ID ... | --all> [OPTIONS]

Options:
  --team ID          One team; may be given several times
  --all              Every team
  --concurrency N    Teams at the same time                                        [default: 4]
  --dry-run          Say what would be written, and write nothing
  --force            Write entries that look unchanged too
  -h, --help         This text

The summary counts as withheld what is left alone on purpose: a configuration that is there while PostgreSQL has
none, and definitions whose group types have suddenly become none, which is how an outage looks.

Exit status: 1 when some entry failed; a second run does what is left.
";

/// Reads the arguments; the first is the program.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    let mut parser = lexopt::Parser::from_iter(arguments);
    match parser.next()? {
        None | Some(Short('h') | Long("help")) => Ok(Command::Help(HELP)),
        Some(Short('V') | Long("version")) => Ok(Command::Version),
        Some(Value(name)) => match name.to_str() {
            Some("canary") => canary::parse(parser),
            Some("check") => without_options(parser, Command::Check, CHECK_HELP),
            Some("config") => config(parser),
            Some("dev") => dev(parser),
            Some("healthcheck") => healthcheck(parser),
            Some("import") => import(parser),
            Some("replay") => replay::parse(parser),
            Some("serve") => without_options(parser, Command::Serve, SERVE_HELP),
            Some("warm") => warm(parser),
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
    let mut store = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("store") => store = Some(parser.value()?.into()),
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

fn warm(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut warm = Warm {
        teams: Vec::new(),
        concurrency: WARM_CONCURRENCY,
        dry_run: false,
        force: false,
    };
    let mut all = false;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("team") => warm.teams.push(parser.value()?.parse()?),
            Long("all") => all = true,
            Long("concurrency") => warm.concurrency = parser.value()?.parse()?,
            Long("dry-run") => warm.dry_run = true,
            Long("force") => warm.force = true,
            Short('h') | Long("help") => return Ok(Command::Help(WARM_HELP)),
            other => return Err(other.unexpected()),
        }
    }
    if all != warm.teams.is_empty() {
        return Err("warm needs either --team ID or --all".into());
    }
    if warm.concurrency == 0 {
        return Err("--concurrency must be at least 1".into());
    }
    Ok(Command::Warm(warm))
}

fn config(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut config = ShowConfig::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("json") => config.json = true,
            Short('h') | Long("help") => return Ok(Command::Help(CONFIG_HELP)),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Config(config))
}

fn healthcheck(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut check = HealthCheck {
        url: None,
        path: None,
        time_limit: HEALTHCHECK_LIMIT,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("url") => check.url = Some(parser.value()?.parse()?),
            Long("path") => check.path = Some(parser.value()?.parse()?),
            Long("timeout-ms") => check.time_limit = Duration::from_millis(parser.value()?.parse()?),
            Short('h') | Long("help") => return Ok(Command::Help(HEALTHCHECK_HELP)),
            other => return Err(other.unexpected()),
        }
    }
    if check.path.as_deref().is_some_and(|path| !path.starts_with('/')) {
        return Err("--path must begin with '/'".into());
    }
    if check.time_limit.is_zero() {
        return Err("--timeout-ms must be at least 1".into());
    }
    Ok(Command::HealthCheck(check))
}

fn without_options(
    mut parser: lexopt::Parser,
    command: Command,
    help: &'static str,
) -> Result<Command, lexopt::Error> {
    match parser.next()? {
        None => Ok(command),
        Some(Short('h') | Long("help")) => Ok(Command::Help(help)),
        Some(other) => Err(other.unexpected()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Command, Dev, Document, HealthCheck, Import, ShowConfig, Warm, parse};

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
            store: None,
        };
        assert_eq!(parsed(&["import", "-"]), Ok(Command::Import(expected)));
        assert!(parsed(&["import"]).unwrap_err().contains("FILE"));
        assert!(parsed(&["import", "a", "b"]).is_err());
    }

    #[test]
    fn warm_needs_teams_or_all_of_them() {
        let expected = Warm {
            teams: vec![7, 9],
            concurrency: 2,
            dry_run: true,
            force: false,
        };
        let arguments = [
            "warm",
            "--team",
            "7",
            "--team=9",
            "--concurrency",
            "2",
            "--dry-run",
        ];
        assert_eq!(parsed(&arguments), Ok(Command::Warm(expected)));
        assert!(matches!(parsed(&["warm", "--all"]), Ok(Command::Warm(_))));
        for wrong in [
            &["warm"][..],
            &["warm", "--all", "--team", "1"],
            &["warm", "--all", "--concurrency", "0"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn looking_at_a_set_up_takes_few_options() {
        assert_eq!(parsed(&["check"]), Ok(Command::Check));
        assert_eq!(
            parsed(&["config"]),
            Ok(Command::Config(ShowConfig { json: false }))
        );
        assert_eq!(
            parsed(&["config", "--json"]),
            Ok(Command::Config(ShowConfig { json: true }))
        );
        let expected = HealthCheck {
            url: Some("http://h:1".into()),
            path: Some("/_liveness".into()),
            time_limit: Duration::from_millis(50),
        };
        let arguments = [
            "healthcheck",
            "--url",
            "http://h:1",
            "--path=/_liveness",
            "--timeout-ms",
            "50",
        ];
        assert_eq!(parsed(&arguments), Ok(Command::HealthCheck(expected)));
        for wrong in [
            &["check", "all"][..],
            &["config", "--yaml"],
            &["healthcheck", "--path", "ready"],
            &["healthcheck", "--timeout-ms", "0"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
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
            &["canary", "-h"],
            &["check", "-h"],
            &["config", "-h"],
            &["healthcheck", "-h"],
            &["replay", "-h"],
            &["serve", "-h"],
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
