//! Arguments of `replay`.

use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use super::Command;

/// Arguments of `replay`.
#[derive(Debug, PartialEq)]
pub struct Replay {
    /// A recording, or plain bodies.
    pub file: PathBuf,
    /// `http://HOST[:PORT]` or `https://`, with or without a path before the recorded one.
    pub a: String,
    /// The other server.
    pub b: String,
    /// Requests a second to each server; `None`: as fast as answers come.
    pub rate: Option<f64>,
    /// Most requests to each server; `None`: the file once, or until the time is over.
    pub requests: Option<u64>,
    /// How long; the file is begun again as often as needed.
    pub time: Option<Duration>,
    /// Requests that are under way to one server.
    pub concurrency: usize,
    /// Requests that wait to be sent to a server that does not keep up with the rate.
    pub waiting_max: usize,
    /// For one answer.
    pub time_limit: Duration,
    /// Bytes of one answer.
    pub answer_bytes_max: usize,
    /// `HASH=TOKEN`, or one token for every hash.
    pub tokens: Vec<String>,
    /// Lines of the same; with `RECORDER_HASH_KEY` bare tokens.
    pub token_file: Option<PathBuf>,
    /// Where plain bodies are sent; `None`: the file is a recording.
    pub bodies_to: Option<String>,
    /// What is meant is compared, not how it is written.
    pub ignore_bytes: bool,
    /// HdrHistogram log of the first server.
    pub hdr_a: Option<PathBuf>,
    /// And of the second.
    pub hdr_b: Option<PathBuf>,
    /// The whole report.
    pub json: Option<PathBuf>,
    /// A line a second, even where standard error is no terminal.
    pub progress: bool,
}

/// Requests a second unless said otherwise: a fraction of what one processor answers.
const RATE: f64 = 200.0;

const CONCURRENCY: usize = 64;

const WAITING_MAX: usize = 1024;

const TIME_LIMIT: Duration = Duration::from_secs(10);

const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

const HELP: &str = "\
Send the same requests to two servers, and say where their answers differ and how long each took.

Usage: feature-flags replay <FILE> --a URL --b URL [OPTIONS]

Arguments:
  FILE              A recording (RECORDER_FILE), or plain bodies, one a line, with --bodies

Options:
  --a URL           One server, http:// or https://
  --b URL           The other
  --rate N          Requests a second to each; latencies count from the moment at which a request was
                    to be sent; 'max': as fast as answers come                           [default: 200]
  --requests N      End after so many, beginning the file again as often as needed
  --seconds N       End after so long                                       [default: the file once]
  --concurrency N   Requests under way to one server                                      [default: 64]
  --waiting N       Requests that may wait to be sent to a server that does not keep up; more are not
                    sent to it, and counted                                            [default: 1024]
  --timeout-ms N    For one answer                                                     [default: 10000]
  --answer-bytes N  Longest answer                                                   [default: 8388608]
  --token TEXT      HASH=TOKEN: the project token that a hash of the recording stands for; a bare
                    TOKEN stands for every hash that is not named
  --token-file FILE The same, one a line; with RECORDER_HASH_KEY of the recording, a line may be a bare
                    token, whose hash is computed
  --bodies TARGET   FILE has plain JSON bodies, sent to this path, such as /flags?v=2
  --ignore-bytes    Compare what answers mean, not how they are written
  --hdr-a FILE      Write latencies of A as a HdrHistogram log (V2)
  --hdr-b FILE      And those of B
  --json FILE       Write the report as JSON, all examples included
  --progress        A line a second on standard error, also where that is no terminal
  -h, --help        This text

requestId, evaluatedAt and headers other than Content-Type are not compared. The first request goes to A first, the second to B first, and so on.

Exit status: 0 when every answer was the same, 1 when some differ, 2 when the run proves nothing: nothing was compared, no
compared answer had a status of 2xx, or requests were left out because a server does not keep up.
";

/// Reads the arguments behind the name.
pub fn parse(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let (mut file, mut a, mut b) = (None, None, None);
    let mut replay = Replay {
        file: PathBuf::new(),
        a: String::new(),
        b: String::new(),
        rate: Some(RATE),
        requests: None,
        time: None,
        concurrency: CONCURRENCY,
        waiting_max: WAITING_MAX,
        time_limit: TIME_LIMIT,
        answer_bytes_max: ANSWER_BYTES_MAX,
        tokens: Vec::new(),
        token_file: None,
        bodies_to: None,
        ignore_bytes: false,
        hdr_a: None,
        hdr_b: None,
        json: None,
        progress: false,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("a") => a = Some(parser.value()?.string()?),
            Long("b") => b = Some(parser.value()?.string()?),
            Long("rate") => {
                let text = parser.value()?.string()?;
                replay.rate = if text == "max" {
                    None
                } else {
                    Some(text.parse().map_err(|_| not_a_rate(&text))?)
                };
                if replay
                    .rate
                    .is_some_and(|rate| !(0.001..=1_000_000.0).contains(&rate))
                {
                    return Err(not_a_rate(&text));
                }
            }
            Long("requests") => replay.requests = Some(parser.value()?.parse()?),
            Long("seconds") => {
                let seconds: u32 = parser.value()?.parse()?;
                replay.time = Some(Duration::from_secs(seconds.into()));
            }
            Long("concurrency") => replay.concurrency = parser.value()?.parse()?,
            Long("waiting") => replay.waiting_max = parser.value()?.parse()?,
            Long("timeout-ms") => replay.time_limit = Duration::from_millis(parser.value()?.parse()?),
            Long("answer-bytes") => replay.answer_bytes_max = parser.value()?.parse()?,
            Long("token") => replay.tokens.push(parser.value()?.string()?),
            Long("token-file") => replay.token_file = Some(parser.value()?.into()),
            Long("bodies") => replay.bodies_to = Some(parser.value()?.string()?),
            Long("ignore-bytes") => replay.ignore_bytes = true,
            Long("hdr-a") => replay.hdr_a = Some(parser.value()?.into()),
            Long("hdr-b") => replay.hdr_b = Some(parser.value()?.into()),
            Long("json") => replay.json = Some(parser.value()?.into()),
            Long("progress") => replay.progress = true,
            Short('h') | Long("help") => return Ok(Command::Help(HELP)),
            Value(path) if file.is_none() => file = Some(path.into()),
            other => return Err(other.unexpected()),
        }
    }
    replay.file = file.ok_or("replay needs a FILE")?;
    replay.a = a.ok_or("replay needs --a URL")?;
    replay.b = b.ok_or("replay needs --b URL")?;
    if !(1..=10_000).contains(&replay.concurrency) {
        return Err("--concurrency must be 1 to 10000".into());
    }
    if !(1..=1_000_000).contains(&replay.waiting_max) {
        return Err("--waiting must be 1 to 1000000".into());
    }
    if replay.time_limit.is_zero() || replay.time_limit > Duration::from_secs(600) {
        return Err("--timeout-ms must be 1 to 600000".into());
    }
    if replay.requests == Some(0) || replay.time == Some(Duration::ZERO) {
        return Err("--requests and --seconds must be at least 1".into());
    }
    Ok(Command::Replay(Box::new(replay)))
}

fn not_a_rate(text: &str) -> lexopt::Error {
    format!("--rate {text}: expected requests a second, or 'max'").into()
}

#[cfg(test)]
mod tests {
    use super::super::{Command, parse};

    fn parsed(arguments: &[&str]) -> Result<Command, String> {
        let all = ["feature-flags", "replay"].iter().chain(arguments);
        parse(all.map(Into::into)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_needed_is_asked_for() {
        let needed = ["f", "--a", "http://h:1", "--b=http://h:2"];
        let Ok(Command::Replay(replay)) = parsed(&needed) else {
            panic!("it is a command")
        };
        assert_eq!(
            (&*replay.a, &*replay.b, replay.rate),
            ("http://h:1", "http://h:2", Some(200.0))
        );
        for without in [
            &["f", "--a", "http://h:1"][..],
            &["f", "--b", "http://h:1"],
            &needed[1..],
        ] {
            assert!(parsed(without).is_err(), "{without:?}");
        }
        for wrong in [
            ["--rate", "0"],
            ["--rate", "fast"],
            ["--requests", "0"],
            ["--seconds", "x"],
            ["--concurrency", "0"],
            ["--waiting", "0"],
            ["--timeout-ms", "0"],
        ] {
            assert!(parsed(&[&needed[..], &wrong].concat()).is_err(), "{wrong:?}");
        }
        let max = parsed(&[&needed[..], &["--rate", "max"]].concat());
        assert!(matches!(max, Ok(Command::Replay(replay)) if replay.rate.is_none()));
    }
}
