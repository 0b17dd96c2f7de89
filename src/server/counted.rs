//! A socket that counts what it reads and writes answers to pipelined requests together.
//!
//! The count tells a started request from an idle connection without arming a timer for either. It also tells when one
//! read brought several requests: then answers are kept until the connection reads again or has a request that is not
//! answered at once, and leave in one system call. An answer to a request that came alone is never kept or copied.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::registry::Connection;

/// Answers kept at most, but for the last of them. A larger write would not save much more.
const KEPT_BYTES_MAX: usize = 64 * 1024;

pub(super) struct Counted {
    stream: TcpStream,
    connection: Arc<Connection>,
    /// Requests that had begun at the last read.
    begun_at_read: u32,
    /// Nothing was there to read at the last attempt: no request that has come is left to answer, and hyper waits
    /// for the next without trying again.
    is_drained: bool,
    /// Answers that wait for more of them, from `written` on.
    kept: Vec<u8>,
    written: usize,
}

impl Counted {
    pub(super) fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        Self {
            stream,
            connection,
            begun_at_read: 0,
            is_drained: false,
            kept: Vec::new(),
            written: 0,
        }
    }

    /// Whether the last read brought more than one request, and more of them may follow.
    fn is_pipelined(&self) -> bool {
        !self.is_drained
            && self.connection.begun().wrapping_sub(self.begun_at_read) > 1
            && !self.connection.is_multiplexed()
    }

    /// Makes room for `more` bytes to be kept: whether they are to be. Pending while what is kept cannot leave.
    fn poll_keep(&mut self, context: &mut Context<'_>, more: usize) -> Poll<io::Result<bool>> {
        if self.kept.is_empty() && (more >= KEPT_BYTES_MAX || !self.is_pipelined()) {
            return Poll::Ready(Ok(false));
        }
        if self.kept.len() >= KEPT_BYTES_MAX {
            ready!(self.poll_send(context))?;
            return Poll::Ready(Ok(more < KEPT_BYTES_MAX));
        }
        Poll::Ready(Ok(true))
    }

    /// Sends what is kept.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.kept.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.written += sent,
            }
        }
        if self.written > 0 {
            // The memory of a burst is not held by a connection that may stay idle for minutes.
            (self.kept, self.written) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Counted {
    /// A client that does not take its answers is not read from.
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.is_drained = poll.is_pending();
        let read = buffer.filled().len() - before;
        if read > 0 {
            self.connection.note_read(read);
            self.begun_at_read = self.connection.begun();
        }
        poll
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !ready!(self.poll_keep(context, bytes.len()))? {
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        }
        self.kept.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum();
        if !ready!(self.poll_keep(context, length))? {
            return Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        }
        for slice in slices {
            self.kept.extend_from_slice(slice);
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Leaves kept answers where they are while more of them may follow at once.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_drained || self.connection.is_answering() {
            ready!(self.poll_send(context))?;
        }
        // Nothing of ours or the system's waits in a TCP socket for a flush.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
