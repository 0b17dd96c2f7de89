//! Where a server is, and a connection to it. Never shows the password.

use std::fmt;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, ProtocolVersion};

use super::RedisError;

/// Sent bytes that stay unacknowledged this long end a connection: the other side is gone without a word.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(5);

/// A parsed `redis://` or `rediss://` URL.
#[derive(Clone)]
pub struct ServerUrl {
    client: Client,
}

impl ServerUrl {
    /// Reads a URL. For `rediss://` makes ring the process's TLS provider unless there is one already.
    ///
    /// # Errors
    /// `Denied` if it is no such URL; the text does not repeat it.
    pub fn parse(url: &str) -> Result<Self, RedisError> {
        let unusable = |_| RedisError::Denied("not a redis:// or rediss:// URL".to_owned());
        let info = url.into_connection_info().map_err(unusable)?;
        if url.starts_with("rediss:") {
            // An error says that there is a provider already, which is as good.
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        // Of RESP3 (Redis 6) the pushes are needed: they tell of lost connections and of changed keys.
        let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let tcp = TcpSettings::default()
            .set_nodelay(true)
            .set_user_timeout(UNACKNOWLEDGED_MAX);
        let info = info.set_redis_settings(redis).set_tcp_settings(tcp);
        let client = Client::open(info).map_err(unusable)?;
        Ok(Self { client })
    }

    pub(super) async fn connect(
        &self,
        config: AsyncConnectionConfig,
        limit: Option<Duration>,
    ) -> Result<MultiplexedConnection, RedisError> {
        // The limit is kept here, so that it covers name lookup, TLS and greeting together.
        let config = config.set_connection_timeout(None);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        match limit {
            None => connecting.await,
            Some(limit) => tokio::time::timeout(limit, connecting)
                .await
                .map_err(|_| RedisError::Timeout)?,
        }
        .map_err(|error| RedisError::from_client(&error))
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.client.get_connection_info().addr())
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ServerUrl({self})")
    }
}
