//! One keep-alive connection with one request in flight. Knows no clock but for giving up.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::Failure;

/// Pauses of the processor between two attempts, a few microseconds.
const PAUSES: usize = 100;

/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to the server under load.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    /// Bytes of the whole answer, once its headers are read.
    expected: Option<usize>,
    status: u16,
}

impl Connection {
    /// Connects, without delay of small segments and without blocking. Answers must have that status.
    pub fn open(address: SocketAddr, status: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            buffer: vec![0; 1 << 20],
            filled: 0,
            expected: None,
            status,
        })
    }

    /// Writes one request completely.
    pub fn send(&mut self, mut request: &[u8]) -> Result<(), Failure> {
        while !request.is_empty() {
            let written = spin(|| self.stream.write(request))?;
            request = &request[written..];
        }
        Ok(())
    }

    /// Reads one answer completely; returns its size.
    pub fn receive(&mut self) -> Result<usize, Failure> {
        loop {
            let read = spin(|| self.stream.read(&mut self.buffer[self.filled..]))?;
            if let Some(size) = self.take(read)? {
                return Ok(size);
            }
        }
    }

    /// Reads what is there; the size of the answer once it is complete.
    pub fn poll(&mut self) -> Result<Option<usize>, Failure> {
        match self.stream.read(&mut self.buffer[self.filled..]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            read => self.take(read?),
        }
    }

    fn take(&mut self, read: usize) -> Result<Option<usize>, Failure> {
        if read == 0 {
            return Err("the server closed a connection, or an answer is above 1 MiB".into());
        }
        self.filled += read;
        if self.expected.is_none() {
            self.expected = answer_length(&self.buffer[..self.filled], self.status)?;
        }
        let complete = self.expected.filter(|length| self.filled >= *length);
        if complete.is_some() {
            (self.filled, self.expected) = (0, None);
        }
        Ok(complete)
    }
}

/// Tries until the socket is ready. A generator that sleeps has to be woken, and the kernel charges the
/// wake-up to the server that sends: a slower server would look slower still.
fn spin(mut attempt: impl FnMut() -> io::Result<usize>) -> Result<usize, Failure> {
    let mut patience = None;
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let since = *patience.get_or_insert_with(Instant::now);
                if since.elapsed() > PATIENCE {
                    return Err("the server does not answer".into());
                }
                // Politely: the server may run on the other thread of this core.
                for _ in 0..PAUSES {
                    std::hint::spin_loop();
                }
            }
            other => return Ok(other?),
        }
    }
}

/// Length of headers and body, or `None` while the headers are incomplete.
fn answer_length(received: &[u8], status: u16) -> Result<Option<usize>, Failure> {
    let Some(end) = memchr::memmem::find(received, b"\r\n\r\n") else {
        return Ok(None);
    };
    let headers = std::str::from_utf8(&received[..end])?;
    let line = headers.lines().next().unwrap_or_default();
    if line.split(' ').nth(1).and_then(|code| code.parse().ok()) != Some(status) {
        return Err(format!("answer {line:?}").into());
    }
    if status == 304 {
        return Ok(Some(end + 4));
    }
    let length = headers
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .ok_or("an answer without content-length")?
        .1;
    Ok(Some(end + 4 + length.trim().parse::<usize>()?))
}
