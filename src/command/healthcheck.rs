//! `healthcheck`: asks a running server for a probe, for containers that have neither shell nor curl. Also how `check` finds out
//! who holds an address.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use feature_flags::config::{Environment, Source, parse, variables};

use super::Failure;
use crate::cli::HealthCheck;

/// Most bytes of an answer that are read; probes answer a line.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Asks and says why not. Exit code 0: the answer was 200; 1: anything else.
///
/// # Errors
/// When there is no answer, or another one.
pub fn run(arguments: &HealthCheck) -> Result<ExitCode, Failure> {
    let url = match &arguments.url {
        Some(url) => url.clone(),
        None => default_url(address()?),
    };
    let path = arguments.path.as_deref().unwrap_or("/_readiness");
    let answer = get(&url, path, arguments.time_limit).map_err(|error| Failure::context(&url, error))?;
    if answer.status == 200 {
        Ok(ExitCode::SUCCESS)
    } else {
        let said = answer.body.trim();
        Err(Failure::new(format!("{url}{path}: {} {said}", answer.status)))
    }
}

/// `ADDRESS` alone: other settings may be for another process.
fn address() -> Result<SocketAddr, Failure> {
    let default = variables().find(|variable| variable.name == "ADDRESS");
    let text = Environment
        .get("ADDRESS")
        .or(default.map(|variable| variable.default.to_owned()))
        .unwrap_or_default();
    let address = parse::socket_address(&text)
        .map_err(|expected| Failure::new(format!("ADDRESS={text:?}: expected {expected}")))?;
    if address.port() == 0 {
        return Err(Failure::new(
            "ADDRESS has port 0: say with --url where the server listens",
        ));
    }
    Ok(address)
}

/// Where a server with this address can be asked from the same machine.
pub fn default_url(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}")
}

/// An answer to a probe.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// Why there is none.
#[derive(Debug)]
pub enum ProbeError {
    /// The URL is not `http://HOST[:PORT]`.
    Url,
    /// The time is over.
    TimeLimit,
    /// The network's.
    Io(io::Error),
    /// What answers speaks no HTTP.
    NotHttp,
}

impl fmt::Display for ProbeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => formatter.write_str("expected a URL such as http://127.0.0.1:3001"),
            Self::TimeLimit => formatter.write_str("no answer in time"),
            Self::Io(error) => error.fmt(formatter),
            Self::NotHttp => formatter.write_str("what answers there is no HTTP server"),
        }
    }
}

impl From<io::Error> for ProbeError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::TimeLimit,
            _ => Self::Io(error),
        }
    }
}

/// One request on a connection of its own, within a time.
///
/// # Errors
/// Without a whole answer.
pub fn get(url: &str, path: &str, limit: Duration) -> Result<Answer, ProbeError> {
    let authority = url
        .strip_prefix("http://")
        .ok_or(ProbeError::Url)?
        .trim_end_matches('/');
    let printable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if authority.is_empty() || authority.contains('/') || !printable(authority) || !printable(path) {
        return Err(ProbeError::Url);
    }
    let deadline = Instant::now() + limit;
    let left = || {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(ProbeError::TimeLimit)
        } else {
            Ok(left)
        }
    };
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    let host = if has_port {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let mut refused = ProbeError::Url;
    for address in host.to_socket_addrs().map_err(ProbeError::from)? {
        match TcpStream::connect_timeout(&address, left()?) {
            Ok(mut stream) => {
                stream.set_write_timeout(Some(left()?))?;
                let request = format!(
                    "GET {path} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: feature-flags-healthcheck\r\nconnection: close\r\n\r\n"
                );
                stream.write_all(request.as_bytes())?;
                let mut bytes = Vec::new();
                let mut buffer = [0; 2048];
                while bytes.len() < ANSWER_BYTES_MAX {
                    stream.set_read_timeout(Some(left()?))?;
                    match stream.read(&mut buffer)? {
                        0 => break,
                        read => bytes.extend_from_slice(buffer.get(..read).unwrap_or_default()),
                    }
                }
                return parse_answer(&bytes).ok_or(ProbeError::NotHttp);
            }
            Err(error) => refused = error.into(),
        }
    }
    Err(refused)
}

fn parse_answer(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let line = head.lines().next()?.strip_prefix("HTTP/1.")?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    use super::{Answer, ProbeError, default_url, get, parse_answer};

    const LIMIT: Duration = Duration::from_secs(5);

    #[test]
    fn an_address_of_all_interfaces_is_asked_on_loopback() {
        assert_eq!(
            default_url("0.0.0.0:3001".parse().unwrap()),
            "http://127.0.0.1:3001"
        );
        assert_eq!(default_url("[::]:3001".parse().unwrap()), "http://[::1]:3001");
        assert_eq!(default_url("10.1.2.3:80".parse().unwrap()), "http://10.1.2.3:80");
    }

    #[test]
    fn answers_are_read_and_other_protocols_are_not() {
        let answer = parse_answer(b"HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\ndraining").unwrap();
        assert_eq!(
            answer,
            Answer {
                status: 503,
                body: "draining".into()
            }
        );
        for other in [
            &b"SSH-2.0-x\r\n\r\n"[..],
            b"",
            b"HTTP/1.1 \r\n\r\n",
            b"HTTP/1.1 200 OK\r\n",
        ] {
            assert_eq!(parse_answer(other), None);
        }
    }

    #[test]
    fn only_plain_urls_are_asked() {
        for url in [
            "https://h",
            "h:1",
            "http://",
            "http://h/p",
            "http://h h",
            "http://h\r\nx: y",
        ] {
            assert!(matches!(get(url, "/", LIMIT), Err(ProbeError::Url)), "{url}");
        }
        assert!(matches!(
            get("http://127.0.0.1:1", "/ x", LIMIT),
            Err(ProbeError::Url)
        ));
    }

    #[test]
    fn a_server_that_says_nothing_costs_the_limit_and_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let error = get(&url, "/", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, ProbeError::TimeLimit), "{error}");
    }

    #[test]
    fn a_flood_is_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let flood = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
            let mut sent = 0;
            while sent < 100_000_000 && stream.write_all(&[b'x'; 4096]).is_ok() {
                sent += 4096;
            }
            sent
        });
        assert!(matches!(
            get(&url, "/", LIMIT),
            Err(ProbeError::NotHttp | ProbeError::Io(_))
        ));
        assert!(flood.join().unwrap() < 100_000_000);
    }
}
