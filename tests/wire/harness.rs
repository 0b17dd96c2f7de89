//! A server in this process, on a free port.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use feature_flags::config::Config;
use feature_flags::context::cookieless::CookielessStore;
use feature_flags::context::geo::GeoSource;
use feature_flags::http::{AppState, Clock, DefinitionsStores, Stores};
use feature_flags::hypercache::build::ConfigOptions;
use feature_flags::quota::{Tasks, TasksSettings};
use feature_flags::server::{Drained, Server};
use feature_flags::snapshot::{BoxFuture, TieredSettings};
use feature_flags::store::embedded::{EmbeddedCookieless, EmbeddedStore};
use feature_flags::telemetry::StoreCheck;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::Client;

/// A running server; dropping it ends it.
pub struct Harness {
    pub address: SocketAddr,
    pub app: Arc<AppState>,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<Drained>>,
    quota: Option<Tasks>,
    pub store: Arc<EmbeddedStore>,
    runtime: Runtime,
}

impl Harness {
    /// With these variables set, apart from the address, and a store that always answers.
    pub fn start(variables: &[(&str, &str)]) -> Self {
        Self::with_store(variables, || -> BoxFuture<'static, _> {
            Box::pin(async { Ok(()) })
        })
    }

    /// With a store that the readiness probe asks.
    pub fn with_store(variables: &[(&str, &str)], store: impl StoreCheck + 'static) -> Self {
        let embedded = EmbeddedStore::temporary().unwrap();
        embedded
            .import(include_bytes!("../fixtures/sdk_fixture.json"))
            .unwrap();
        Self::over(variables, Arc::new(embedded), store, Clock::System)
    }

    /// Over this store, with a clock and a store of salts.
    pub fn cookieless(
        variables: &[(&str, &str)],
        embedded: Arc<EmbeddedStore>,
        clock: Clock,
        cookieless: Arc<dyn CookielessStore>,
    ) -> Self {
        let check = || -> BoxFuture<'static, _> { Box::pin(async { Ok(()) }) };
        Self::over_all(variables, embedded, check, clock, cookieless, None)
    }

    /// Over this store, with a clock.
    pub fn serving(variables: &[(&str, &str)], embedded: Arc<EmbeddedStore>, clock: Clock) -> Self {
        let check = || -> BoxFuture<'static, _> { Box::pin(async { Ok(()) }) };
        Self::over(variables, embedded, check, clock)
    }

    /// Over this store, with a database of locations.
    pub fn located(
        variables: &[(&str, &str)],
        embedded: Arc<EmbeddedStore>,
        geo: Arc<dyn GeoSource>,
    ) -> Self {
        let check = || -> BoxFuture<'static, _> { Box::pin(async { Ok(()) }) };
        let cookieless = Arc::new(EmbeddedCookieless::default());
        Self::over_all(variables, embedded, check, Clock::System, cookieless, Some(geo))
    }

    fn over(
        variables: &[(&str, &str)],
        embedded: Arc<EmbeddedStore>,
        store: impl StoreCheck + 'static,
        clock: Clock,
    ) -> Self {
        let cookieless = Arc::new(EmbeddedCookieless::default());
        Self::over_all(variables, embedded, store, clock, cookieless, None)
    }

    fn over_all(
        variables: &[(&str, &str)],
        embedded: Arc<EmbeddedStore>,
        store: impl StoreCheck + 'static,
        clock: Clock,
        cookieless: Arc<dyn CookielessStore>,
        geo: Option<Arc<dyn GeoSource>>,
    ) -> Self {
        let mut source: HashMap<&str, &str> = variables.iter().copied().collect();
        source.insert("ADDRESS", "127.0.0.1:0");
        let config = Config::read(&source).unwrap();
        let runtime = feature_flags::server::runtime::build(2).unwrap();
        let projects = embedded.project_source_with(
            &TieredSettings::default(),
            ConfigOptions::from(&config.remote_config),
        );
        let stores = Stores {
            definitions: DefinitionsStores {
                source: Arc::clone(&projects) as _,
                rebuilds: None,
                auth: embedded.auth(config.continuity.skip_writes),
            },
            projects: projects as _,
            persons: Arc::clone(&embedded) as _,
            cookieless,
            geo,
            retries: Arc::default(),
            check: Box::new(store),
        };
        let mut app = AppState::new(&config, stores);
        app.clock = clock;
        let app = Arc::new(app);
        runtime.spawn(app.follow_changes(Duration::from_secs(1)));
        let quota = {
            let _inside = runtime.enter();
            quota_tasks(&config, &app, &embedded)
        };
        let server = runtime.block_on(Server::bind(&config.server)).unwrap();
        let address = server.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = runtime.spawn(server.run(Arc::clone(&app), async { drop(stopped.await) }));
        Self {
            address,
            app,
            stop: Some(stop),
            serving: Some(serving),
            quota: Some(quota),
            store: embedded,
            runtime,
        }
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Runs a future of the server's to its end.
    pub fn wait_for<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Writes the usage that was recorded up to now; nothing is written afterwards.
    pub fn write_usage(&mut self) {
        let tasks = self.quota.take().expect("written once");
        let left = self.runtime.block_on(tasks.finish());
        assert_eq!(left, feature_flags::quota::UsageLeft::default());
    }

    /// Tells the server to end, without waiting for it.
    pub fn stop(&mut self) {
        self.stop
            .take()
            .expect("stopped once")
            .send(())
            .expect("the server runs");
    }

    /// Waits for the server to have ended.
    pub fn ended(&mut self) -> Drained {
        self.runtime
            .block_on(self.serving.take().expect("waited for once"))
            .unwrap()
    }
}

/// Billing's tasks as `dev` has them.
fn quota_tasks(config: &Config, app: &AppState, store: &Arc<EmbeddedStore>) -> Tasks {
    let settings = TasksSettings {
        refresh_interval: config.quota.cache_ttl,
        recordings: config.quota.session_replay_check,
        flush_interval: config.quota.flush_interval,
        flush_batch: config.quota.flush_batch,
        counts: !config.continuity.skip_writes,
        last_flush_timeout: config.quota.shutdown_flush_timeout,
    };
    let say: feature_flags::quota::Say = Arc::new(|notice: &_| println!("{notice}"));
    Tasks::start(
        &app.quota,
        Arc::clone(store) as _,
        Arc::clone(store) as _,
        settings,
        &say,
    )
}
