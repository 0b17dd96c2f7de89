//! Reads a request body: at most 2 MiB of transferred bytes, within a time limit (`http.md` 2.4).

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::timeout;

use super::respond::HttpError;

/// Bytes of a body after chunked decoding, before decompression (`http.md` 2.4). Exactly so many pass.
pub const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// How much of an oversized body is read and thrown away before the 413. A client that writes its whole
/// body before it reads would otherwise meet a reset connection instead of the answer.
const DISCARD_BYTES_MAX: u64 = 4 * BODY_BYTES_MAX as u64;

/// How much of a refused request is read and thrown away: more than ordinary bodies have.
const REFUSED_BYTES_MAX: usize = 64 * 1024;

/// For how long. Most bodies arrive with their headers.
const REFUSED_TIME_MAX: Duration = Duration::from_millis(250);

/// Reserved at once for a body in several pieces, whatever length the client claims.
const RESERVE_BYTES_MAX: usize = 64 * 1024;

/// The whole body. A body of one piece, the usual case, is not copied.
///
/// `expects_continue`: the client waits for leave to send, so a body that is too large by its own
/// `Content-Length` is refused without being asked for.
///
/// # Errors
/// Too large; broken off, malformed, or not complete within `time_limit`.
pub(super) async fn read<B>(
    mut body: B,
    time_limit: Duration,
    expects_continue: bool,
) -> Result<Bytes, HttpError>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let announced = body.size_hint().lower();
    if announced > BODY_BYTES_MAX as u64 && (expects_continue || announced > DISCARD_BYTES_MAX) {
        return Err(HttpError::BodyTooLarge);
    }
    let mut collecting = pin!(collect(&mut body, announced));
    // Nearly every body came with its headers: no timer is made for it.
    if let Poll::Ready(collected) = poll_fn(|context| Poll::Ready(collecting.as_mut().poll(context))).await {
        return collected;
    }
    timeout(time_limit, collecting)
        .await
        .unwrap_or(Err(HttpError::BodyBroken))
}

/// Reads and throws away the body of a request that is refused whatever it says, so that the usual client can keep
/// its connection and reads the answer instead of a reset. A larger or slower body is left unread: the
/// connection is closed behind the answer. One that the client waits for leave to send is not asked for.
pub(super) async fn discard_refused<B>(mut body: B, expects_continue: bool)
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.is_end_stream() || expects_continue || body.size_hint().lower() > REFUSED_BYTES_MAX as u64 {
        return;
    }
    let discarding = async {
        let mut seen = 0;
        while let Ok(Some(piece)) = next_piece(&mut body).await
            && seen <= REFUSED_BYTES_MAX
        {
            seen += piece.len();
        }
    };
    // Late is as good as too large.
    drop(timeout(REFUSED_TIME_MAX, discarding).await);
}

async fn collect<B>(body: &mut B, announced: u64) -> Result<Bytes, HttpError>
where
    B: Body<Data = Bytes> + Unpin,
{
    if announced > BODY_BYTES_MAX as u64 {
        return Err(discard(body, 0).await);
    }
    let Some(first) = next_piece(body).await? else {
        return Ok(Bytes::new());
    };
    if first.len() > BODY_BYTES_MAX {
        return Err(discard(body, first.len()).await);
    }
    if body.is_end_stream() {
        return Ok(first);
    }
    let Some(second) = next_piece(body).await? else {
        return Ok(first);
    };
    let expected = usize::try_from(announced).unwrap_or(usize::MAX);
    let mut whole = BytesMut::with_capacity(expected.clamp(first.len(), RESERVE_BYTES_MAX.max(first.len())));
    whole.extend_from_slice(&first);
    let mut piece = Some(second);
    while let Some(bytes) = piece {
        let length = whole.len() + bytes.len();
        if length > BODY_BYTES_MAX {
            drop(whole);
            return Err(discard(body, length).await);
        }
        whole.extend_from_slice(&bytes);
        piece = next_piece(body).await?;
    }
    Ok(whole.freeze())
}

/// The next data frame; trailers are skipped.
async fn next_piece<B>(body: &mut B) -> Result<Option<Bytes>, HttpError>
where
    B: Body<Data = Bytes> + Unpin,
{
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_)) => return Err(HttpError::BodyBroken),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

async fn discard<B>(body: &mut B, seen: usize) -> HttpError
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut seen = seen as u64;
    while seen <= DISCARD_BYTES_MAX {
        match next_piece(body).await {
            Ok(Some(piece)) => seen += piece.len() as u64,
            Ok(None) | Err(_) => break,
        }
    }
    HttpError::BodyTooLarge
}
