//! A client that sends what it is given and reads what is framed by `Content-Length`.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Far above anything that a test waits for; reached only when the server hangs.
const HANG: Duration = Duration::from_secs(20);

pub struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// A parsed answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case, in the order of arrival, without `date`.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream.set_write_timeout(Some(HANG)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// The same connection twice, to send in one thread and read in another.
    pub fn halves(self) -> (Self, Self) {
        let other = Self {
            stream: self.stream.try_clone().unwrap(),
            unread: Vec::new(),
        };
        (other, self)
    }

    /// Writes raw bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self
    }

    /// Writes until nothing more is taken for a moment; how many bytes were.
    pub fn send_until_stuck(&mut self, bytes: &[u8], moment: Duration) -> usize {
        self.stream.set_write_timeout(Some(moment)).unwrap();
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(more) => sent += more,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) => panic!("sending: {error}"),
            }
        }
        self.stream.set_write_timeout(Some(HANG)).unwrap();
        sent
    }

    /// Writes a request: first line without the version, header lines, body with its length.
    pub fn request(&mut self, line: &str, headers: &[&str], body: &[u8]) -> Answer {
        let mut head = format!("{line} HTTP/1.1\r\nhost: flags.test\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        if !body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        self.send(head).send(body);
        self.answer_to(line)
    }

    /// Reads the answer to a request with this first line.
    pub fn answer_to(&mut self, line: &str) -> Answer {
        let head_end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(
                self.fill() > 0,
                "closed before an answer; got {:?}",
                self.unread_text()
            );
        };
        let head = String::from_utf8(self.unread.drain(..head_end).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().unwrap();
        let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let dated = headers.len();
        headers.retain(|(name, _)| name != "date");
        assert!(status < 200 || headers.len() < dated, "an answer without a date");
        let length = headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .map_or(0, |(_, value)| value.parse().unwrap());
        let length = if line.starts_with("HEAD ") || status < 200 {
            0
        } else {
            length
        };
        while self.unread.len() < length {
            assert!(self.fill() > 0, "closed inside a body");
        }
        Answer {
            status,
            headers,
            body: self.unread.drain(..length).collect(),
        }
    }

    /// Reads exactly so many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            assert!(self.fill() > 0, "closed early; got {:?}", self.unread_text());
        }
        self.unread.drain(..count).collect()
    }

    /// Ends the sending direction.
    pub fn finish_sending(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).unwrap();
        self
    }

    /// Waits until the server closes; fails if it says anything first.
    pub fn expect_close(&mut self) {
        assert_eq!(self.fill(), 0, "got {:?} instead of the end", self.unread_text());
    }

    /// Whether nothing arrives for a moment.
    pub fn hears_nothing_for(&mut self, moment: Duration) -> bool {
        self.stream.set_read_timeout(Some(moment)).unwrap();
        let mut byte = [0];
        let silent = matches!(
            self.stream.peek(&mut byte),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
        );
        self.stream.set_read_timeout(Some(HANG)).unwrap();
        silent
    }

    fn fill(&mut self) -> usize {
        let mut piece = [0; 16 * 1024];
        let read = match self.stream.read(&mut piece) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("reading an answer: {error}"),
        };
        self.unread.extend_from_slice(&piece[..read]);
        read
    }

    fn unread_text(&self) -> String {
        String::from_utf8_lossy(&self.unread).into_owned()
    }
}

impl Answer {
    /// The value of a header, if it is there exactly once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(header, _)| header == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice");
        value
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }
}
