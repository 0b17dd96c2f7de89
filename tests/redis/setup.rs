//! Clients of the test servers.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use feature_flags::resilience::RetryBudget;
use feature_flags::store::redis::{Client, ClientNames, ClientUrls, EndpointSettings, EndpointState};

use crate::servers::Servers;

/// Longest wait for something that the servers bring about on their own, such as a replica's link.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client that has made its first attempts.
pub async fn client(servers: &Servers, writer: &str, reader: Option<&str>) -> Arc<Client> {
    let reader = reader.map(|name| servers.url(name));
    let urls = ClientUrls::parse(Some(&servers.url(writer)), reader.as_deref())
        .expect("urls")
        .expect("a writer")
        .expect("urls are set");
    let names = ClientNames {
        writer: "writer",
        reader: "reader",
    };
    let budget = Arc::new(RetryBudget::default());
    let client = Client::start(names, urls, EndpointSettings::default(), budget);
    for endpoint in client.endpoints() {
        assert_eq!(endpoint.first_attempt().await, EndpointState::Connected);
    }
    Arc::new(client)
}

/// Asks until the answer is there. For states of servers that nobody announces.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
