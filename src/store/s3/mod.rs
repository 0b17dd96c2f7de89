//! The second tier of entries: objects in S3 or something that speaks its protocol (`storage.md` 2.5, 2.8).
//!
//! Bounds what one call may cost: time, bytes, calls at once, second attempts. What a miss or a failure means is the
//! reader's to say. Errors are put into the tier's words in `error.rs`.

mod client;
mod error;
mod examine;

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::SharedCredentialsProvider;
use aws_sdk_s3::primitives::ByteStream;
use bytes::{Bytes, BytesMut};
use tokio::sync::{OnceCell, Semaphore};

use crate::hypercache::{BoxFuture, EntryKey, ObjectStore, TierError};
use crate::resilience::{Breaker, BreakerState, RetryBudget};
use crate::span;
use error::Refusal;

/// For one operation as a whole, second attempt and body included (`storage.md` 2.8).
pub const OPERATION_TIME_MAX: Duration = Duration::from_secs(3);

/// Largest object that is read. The largest entry known is some 10 MB; more than this is no entry.
pub const OBJECT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Calls at once; more are refused. Each may hold an object, and a store that needs more than this many is overloaded.
const CALLS_MAX: usize = 64;

/// Where objects are (`OBJECT_STORAGE_*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Settings {
    /// Name of the bucket.
    pub bucket: String,
    /// Region that requests are signed for.
    pub region: String,
    /// Another address than Amazon's; the bucket is then part of the path.
    pub endpoint: Option<String>,
}

/// Objects of one bucket. Nothing is connected or resolved before the first call.
pub struct S3Store {
    settings: S3Settings,
    credentials: Option<SharedCredentialsProvider>,
    client: OnceCell<Client>,
    breaker: Breaker,
    calls: Semaphore,
    retries: Arc<RetryBudget>,
}

impl S3Store {
    /// With the credentials of the environment: variables, profile, web identity, container, instance; in that order.
    #[must_use]
    pub fn new(settings: S3Settings, retries: Arc<RetryBudget>) -> Self {
        Self {
            settings,
            credentials: None,
            client: OnceCell::new(),
            breaker: Breaker::new("s3"),
            calls: Semaphore::new(CALLS_MAX),
            retries,
        }
    }

    /// With these credentials instead of those of the environment.
    #[must_use]
    pub fn with_credentials(mut self, credentials: SharedCredentialsProvider) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// What the breaker does with calls now.
    #[must_use]
    pub fn breaker_state(&self) -> BreakerState {
        self.breaker.state()
    }

    /// Whether the bucket is there and may be used; for a report at start. Not held back by the breaker.
    ///
    /// # Errors
    /// As for any call. Some grants allow objects but not this question: `Denied` is then no proof.
    pub async fn check(&self) -> Result<(), TierError> {
        let asked = async {
            let client = self.client().await;
            let answer = client.head_bucket().bucket(&self.settings.bucket).send().await;
            answer.map(drop).map_err(|failure| error::read(&failure).error)
        };
        tokio::time::timeout(OPERATION_TIME_MAX, asked)
            .await
            .unwrap_or(Err(TierError::Timeout))
    }

    async fn client(&self) -> &Client {
        self.client
            .get_or_init(|| client::build(&self.settings, self.credentials.clone()))
            .await
    }

    /// One operation under all bounds; `attempt` is called a second time if the first found nobody and the budget allows it.
    async fn call<T, F>(&self, operation: &'static str, attempt: impl Fn(Client) -> F) -> Result<T, TierError>
    where
        F: Future<Output = Result<T, Refusal>>,
    {
        let span = span::call(|| operation).map(|span| {
            span.with("rpc.system", "aws-api")
                .with("rpc.method", operation)
                .with("aws.s3.bucket", self.settings.bucket.clone())
        });
        let done = self.call_untold(attempt).await;
        span::settle(span, &done, error::code);
        done
    }

    async fn call_untold<T, F>(&self, attempt: impl Fn(Client) -> F) -> Result<T, TierError>
    where
        F: Future<Output = Result<T, Refusal>>,
    {
        let _place = self
            .calls
            .try_acquire()
            .map_err(|_| TierError::Unavailable("too many calls at once".into()))?;
        let permit = self
            .breaker
            .admit(Instant::now())
            .map_err(|open| TierError::Unavailable(open.to_string()))?;
        let attempts = async {
            let client = self.client().await;
            self.retries.earn();
            match attempt(client.clone()).await {
                Err(refusal) if refusal.may_pass && self.retries.spend() => attempt(client.clone()).await,
                done => done,
            }
        };
        match tokio::time::timeout(OPERATION_TIME_MAX, attempts).await {
            Ok(Ok(done)) => {
                permit.succeeded();
                Ok(done)
            }
            Ok(Err(refusal)) => {
                if refusal.answered {
                    permit.succeeded();
                } else {
                    permit.failed(Instant::now());
                }
                Err(refusal.error)
            }
            Err(_) => {
                permit.failed(Instant::now());
                Err(TierError::Timeout)
            }
        }
    }

    async fn get_once(&self, client: Client, key: &str) -> Result<Option<Bytes>, Refusal> {
        let request = client.get_object().bucket(&self.settings.bucket).key(key);
        let object = match request.send().await {
            Ok(object) => object,
            Err(failure)
                if failure
                    .as_service_error()
                    .is_some_and(|said| said.is_no_such_key()) =>
            {
                return Ok(None);
            }
            Err(failure) => return Err(error::read(&failure)),
        };
        let length = object
            .content_length
            .and_then(|length| usize::try_from(length).ok());
        collect(object.body, length.unwrap_or_default()).await.map(Some)
    }
}

impl ObjectStore for S3Store {
    fn get<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Option<Bytes>, TierError>> {
        Box::pin(async {
            let key = key.base();
            self.call("S3/GetObject", |client| self.get_once(client, &key))
                .await
        })
    }

    fn put<'a>(&'a self, key: &'a EntryKey, text: Bytes) -> BoxFuture<'a, Result<(), TierError>> {
        Box::pin(async move {
            let key = key.base();
            self.call("S3/PutObject", |client| {
                let request = client.put_object().bucket(&self.settings.bucket).key(&key);
                let request = request.body(ByteStream::from(text.clone()));
                async {
                    request
                        .send()
                        .await
                        .map(drop)
                        .map_err(|failure| error::read(&failure))
                }
            })
            .await
        })
    }

    fn delete<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<(), TierError>> {
        Box::pin(async {
            let key = key.base();
            self.call("S3/DeleteObject", |client| {
                let request = client.delete_object().bucket(&self.settings.bucket).key(&key);
                async {
                    match request.send().await {
                        Ok(_) => Ok(()),
                        // Amazon answers 204 for an absent object, others 404.
                        Err(failure) if error::is_absent_key(&failure) => Ok(()),
                        Err(failure) => Err(error::read(&failure)),
                    }
                }
            })
            .await
        })
    }
}

/// Reads a body chunk by chunk; what it announces is believed only up to the bound.
async fn collect(mut body: ByteStream, announced: usize) -> Result<Bytes, Refusal> {
    if announced > OBJECT_BYTES_MAX {
        return Err(Refusal::too_large());
    }
    let mut object = BytesMut::with_capacity(announced);
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|broken| Refusal::broken_body(&broken))?;
        if object.len() + chunk.len() > OBJECT_BYTES_MAX {
            return Err(Refusal::too_large());
        }
        object.extend_from_slice(&chunk);
    }
    Ok(object.freeze())
}
