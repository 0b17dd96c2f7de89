//! Makes the SDK's client: addressing, TLS, credentials, and what of its own resilience is left on.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, RequestChecksumCalculation, ResponseChecksumValidation, SharedCredentialsProvider,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use super::{OPERATION_TIME_MAX, S3Settings};

/// For a connection to be made (`storage.md` 2.5).
const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);

/// The chain of credentials is put together here and asked when a request is signed.
pub(super) async fn build(settings: &S3Settings, credentials: Option<SharedCredentialsProvider>) -> Client {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIME_MAX)
        .operation_timeout(OPERATION_TIME_MAX)
        .build();
    // Retries come from the budget of the process. The limit on the whole operation includes its body: it ends a stalled
    // stream sooner than the SDK's own guard, which waits five seconds before it judges.
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(settings.region.clone()))
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(credentials) = credentials {
        loader = loader.credentials_provider(credentials);
    }
    // Other implementations of the protocol do not all know the newer checksums.
    let mut builder = Builder::from(&loader.load().await)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.endpoint_url(endpoint).force_path_style(true);
    }
    Client::from_conf(builder.build())
}
