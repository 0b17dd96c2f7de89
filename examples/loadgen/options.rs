//! What to send and where to, from the command line.

use std::io::Write as _;
use std::net::SocketAddr;

use crate::Failure;

/// One run.
pub struct Options {
    pub address: SocketAddr,
    bodies: String,
    /// Bodies stand behind their length instead of one a line.
    frames: bool,
    method: String,
    path: String,
    content_type: String,
    headers: Vec<String>,
    /// The status that every answer must have.
    pub expect: u16,
    pub connections: usize,
    pub seconds: f64,
    /// Requests a second; without it each connection sends as soon as it has its answer.
    pub rate: Option<f64>,
}

impl Options {
    /// Reads the arguments of the process.
    pub fn parse() -> Result<Self, Failure> {
        use lexopt::prelude::*;

        let (mut address, mut bodies, mut rate) = (None, None, None);
        let (mut path, mut connections, mut seconds) = ("/flags/?v=2".to_owned(), 16, 5.0);
        let (mut method, mut content_type) = ("POST".to_owned(), "application/json".to_owned());
        let (mut frames, mut expect, mut headers) = (false, 200, Vec::new());
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("address") => address = Some(parser.value()?.parse()?),
                Long("bodies") => bodies = Some(parser.value()?.string()?),
                Long("frames") => frames = true,
                Long("method") => method = parser.value()?.string()?,
                Long("path") => path = parser.value()?.string()?,
                Long("content-type") => content_type = parser.value()?.string()?,
                Long("header") => headers.push(parser.value()?.string()?),
                Long("expect") => expect = parser.value()?.parse()?,
                Long("rate") => rate = Some(parser.value()?.parse()?),
                Long("connections") => connections = parser.value()?.parse()?,
                Long("seconds") => seconds = parser.value()?.parse()?,
                _ => return Err(argument.unexpected().into()),
            }
        }
        if connections == 0 {
            return Err("--connections must be at least 1".into());
        }
        if rate.is_some_and(|rate: f64| rate.is_nan() || rate <= 0.0) {
            return Err("--rate must be above 0".into());
        }
        if headers.is_empty() {
            headers.push("Accept-Encoding: gzip, deflate".to_owned());
        }
        Ok(Self {
            address: address.ok_or("--address is missing")?,
            bodies: bodies.ok_or("--bodies is missing")?,
            frames,
            method,
            path,
            content_type,
            headers,
            expect,
            connections,
            seconds,
            rate,
        })
    }

    /// Whole requests, with the headers that posthog-python sends; `--header` takes the place of its `Accept-Encoding`.
    pub fn requests(&self) -> Result<Vec<Vec<u8>>, Failure> {
        let file = std::fs::read(&self.bodies)?;
        let bodies = if self.frames {
            framed(&file)?
        } else {
            let lines = file.strip_suffix(b"\n").unwrap_or(&file);
            lines.split(|byte| *byte == b'\n').collect()
        };
        bodies.into_iter().map(|body| self.request(body)).collect()
    }

    fn request(&self, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut request = Vec::with_capacity(body.len() + 384);
        write!(
            request,
            "{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: posthog-python/7.91.1\r\n{}\r\n\
             Accept: */*\r\nConnection: keep-alive\r\nOrigin: https://shop.example\r\n",
            self.method,
            self.path,
            self.address,
            self.headers.join("\r\n"),
        )?;
        if self.method == "GET" {
            request.extend_from_slice(b"\r\n");
        } else {
            let (kind, length) = (&self.content_type, body.len());
            write!(
                request,
                "Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
            )?;
            request.extend_from_slice(body);
        }
        Ok(request)
    }
}

fn framed(mut file: &[u8]) -> Result<Vec<&[u8]>, Failure> {
    let mut bodies = Vec::new();
    while let Some((length, rest)) = file.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let (body, rest) = rest.split_at_checked(length).ok_or("the last body is cut off")?;
        bodies.push(body);
        file = rest;
    }
    Ok(bodies)
}
