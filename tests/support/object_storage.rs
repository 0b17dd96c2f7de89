//! A real S3 server in this process, over a directory.

use std::net::SocketAddr;

use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// The one bucket.
pub const BUCKET: &str = "posthog";

/// A running server. Dropping it ends it, open connections included.
pub struct ObjectStorage {
    pub endpoint: String,
    pub access_key: &'static str,
    pub secret_key: &'static str,
    /// Objects are files below `posthog/` in here.
    pub directory: TempDir,
    address: SocketAddr,
    serving: Option<JoinHandle<()>>,
}

#[allow(dead_code, reason = "each test binary uses a part")]
impl ObjectStorage {
    /// On a free loopback port, with an empty bucket.
    pub async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        std::fs::create_dir(directory.path().join(BUCKET)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut storage = Self {
            endpoint: format!("http://{address}"),
            access_key: "test-access-key",
            secret_key: "test-secret-key",
            directory,
            address,
            serving: None,
        };
        storage.serve(listener);
        storage
    }

    /// The credentials that it accepts.
    pub fn credentials(&self) -> SharedCredentialsProvider {
        credentials(self.access_key, self.secret_key)
    }

    /// Closes the port and all connections; the objects stay.
    pub async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            drop(serving.await);
        }
    }

    /// Listens again on the same port.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.serve(TcpListener::bind(self.address).await.unwrap());
    }

    fn serve(&mut self, listener: TcpListener) {
        let files = s3s_fs::FileSystem::new(self.directory.path()).unwrap();
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(self.access_key, self.secret_key));
        let service = builder.build();
        self.serving = Some(tokio::spawn(async move {
            // Dropped with this task, and all connections with it.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                connections.spawn(async move {
                    let server = Builder::new(TokioExecutor::new());
                    drop(server.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        }));
    }
}

impl Drop for ObjectStorage {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

/// Fixed credentials.
pub fn credentials(access_key: &str, secret_key: &str) -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new(access_key, secret_key, None, None, "test"))
}
