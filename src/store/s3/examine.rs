//! Whether the bucket can be used.

use aws_sdk_s3::error::SdkError;

use super::{S3Store, error};
use crate::hypercache::TierError;
use crate::store::examination::{Obstacle, Sound};

impl S3Store {
    /// Looks at the bucket; not held back by the breaker, not retried.
    ///
    /// # Errors
    /// With what is in the way. It has no time limit of its own.
    pub async fn examine(&self) -> Result<Sound, Obstacle> {
        let client = self.client().await;
        let asked = client.head_bucket().bucket(&self.settings.bucket).send().await;
        let Err(failure) = asked else {
            return Ok(Sound {
                what: "the bucket is there".to_owned(),
                ..Sound::default()
            });
        };
        // An answer to HEAD has no body that could say more than its status.
        let status = match &failure {
            SdkError::ServiceError(answer) => Some(answer.raw().status().as_u16()),
            _ => failure.raw_response().map(|answer| answer.status().as_u16()),
        };
        Err(match (status, error::read(&failure).error) {
            (Some(404), _) => Obstacle::NoSuchPlace(format!("no bucket {:?}", self.settings.bucket)),
            (Some(401 | 403), _) => {
                Obstacle::NotPermitted("the store refuses HeadBucket with 403".to_owned())
            }
            (Some(301 | 307 | 400), _) => Obstacle::Other("the bucket is in another region".to_owned()),
            (Some(status), _) => Obstacle::Other(format!("the store answers {status}")),
            (None, TierError::Denied(detail)) => {
                // Where the chain has looked takes a line each, in the SDK's words.
                Obstacle::NoCredentials(if detail.contains("no credentials found in chain") {
                    "none in the environment, a profile, a web identity, the container or the instance"
                        .to_owned()
                } else {
                    let reason = detail.rsplit_once("loading credentials: ");
                    reason.map_or(detail.clone(), |(_, reason)| reason.to_owned())
                })
            }
            (None, TierError::Timeout) => Obstacle::Unreachable("timed out".to_owned()),
            (None, TierError::Unavailable(detail)) => Obstacle::Unreachable(detail),
            (None, other) => Obstacle::Other(other.to_string()),
        })
    }
}
