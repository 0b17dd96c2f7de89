//! What the rate limiters say of one request on its way (`http.md` 8.1, 15; `decisions.md` 3).
//!
//! The client's address is charged before the body is read, the project token as soon as it is known: by a
//! peek at plain JSON, else right after decoding, always before the team is looked up. Each key is charged once,
//! however often a request starts over.

use std::time::Instant;

use hyper::Response;
use hyper::header::{HeaderName, HeaderValue};

use super::respond::HttpError;
use super::{AppState, FlagsCall};
use crate::limit::{Limits, Verdict};
use crate::telemetry::AdmissionTimes;
use crate::wire::{DecodeError, peek_token};

static WARNING: HeaderName = HeaderName::from_static("x-posthog-rate-limit-warning");

/// Marks the answer to a client that is about to be limited (`http.md` 15.3).
#[cold]
pub(super) fn warn<B>(response: &mut Response<B>) {
    let headers = response.headers_mut();
    headers.insert(&WARNING, HeaderValue::from_static("true"));
}

/// One request's way past the limiters.
pub(super) struct Admission<'r> {
    limits: &'r Limits,
    /// The token that the peek found and that was charged.
    peeked: Option<&'r str>,
    /// Whether what decoding found has been charged.
    settled: bool,
    /// Of requests that are sampled.
    times: Option<AdmissionTimes>,
    warned: &'r mut bool,
}

impl<'r> Admission<'r> {
    /// `warned` becomes true when the answer is to carry a warning. `sampled`: look at the clock.
    pub fn new(state: &'r AppState, sampled: bool, warned: &'r mut bool) -> Self {
        let limits = &*state.limits;
        Self {
            limits,
            peeked: None,
            settled: !limits.token.is_enabled(),
            times: sampled.then(AdmissionTimes::default),
            warned,
        }
    }

    /// Charges the client's address.
    pub fn client(&mut self, call: &FlagsCall<'_>) -> Result<(), HttpError> {
        if !self.limits.ip.is_enabled() {
            return Ok(());
        }
        let verdict = self.checked(|limits| limits.ip.check(call.client_address()));
        self.judge(verdict, self.limits.ip.warns(), HttpError::IpRateLimited)
    }

    /// Charges the token of a body that is plain JSON, before it is decoded.
    pub fn peek(&mut self, body: &'r [u8]) -> Result<(), HttpError> {
        if self.settled {
            return Ok(());
        }
        let began = self.times.map(|_| Instant::now());
        self.peeked = peek_token(body);
        if let (Some(times), Some(began)) = (&mut self.times, began) {
            times.token_extract = began.elapsed();
        }
        let Some(token) = self.peeked else { return Ok(()) };
        let verdict = self.checked(|limits| limits.token.check(token));
        self.judge_token(verdict)
    }

    /// Charges the token that decoding found, unless the peek found the same; without a token, the client's address
    /// (`http.md` 15.2).
    pub fn token(&mut self, call: &FlagsCall<'_>, token: Option<&str>) -> Result<(), HttpError> {
        if self.settled {
            return Ok(());
        }
        self.settled = true;
        match token {
            Some(token) if self.peeked == Some(token) => Ok(()),
            Some(token) => {
                let verdict = self.checked(|limits| limits.token.check(token));
                self.judge_token(verdict)
            }
            None if self.peeked.is_some() => Ok(()),
            None => {
                let verdict = self.checked(|limits| limits.token.check_address(call.client_address()));
                self.judge_token(verdict)
            }
        }
    }

    /// The answer to a body that cannot be decoded: it has no token, so its client is charged.
    #[cold]
    pub fn undecodable(&mut self, call: &FlagsCall<'_>, error: DecodeError) -> HttpError {
        self.token(call, None).err().unwrap_or(HttpError::Decode(error))
    }

    /// What it took so far; `None` unless the request is sampled.
    pub fn times(&self) -> Option<AdmissionTimes> {
        self.times
    }

    #[inline]
    fn checked(&mut self, check: impl FnOnce(&Limits) -> Verdict) -> Verdict {
        let Some(times) = &mut self.times else {
            return check(self.limits);
        };
        let began = Instant::now();
        let verdict = check(self.limits);
        times.limit_check += began.elapsed();
        verdict
    }

    fn judge_token(&mut self, verdict: Verdict) -> Result<(), HttpError> {
        self.judge(verdict, self.limits.token.warns(), HttpError::TokenRateLimited)
    }

    /// `warns`: whether the limiter warns, so that a request over a limit that is not enforced is warned too.
    fn judge(&mut self, verdict: Verdict, warns: bool, refusal: HttpError) -> Result<(), HttpError> {
        match verdict {
            Verdict::Allowed => return Ok(()),
            Verdict::Warned => *self.warned = true,
            Verdict::Tolerated => *self.warned |= warns,
            Verdict::Refused => {
                self.settled = true;
                return Err(refusal);
            }
        }
        Ok(())
    }
}
