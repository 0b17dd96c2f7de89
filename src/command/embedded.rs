//! The one place where commands meet the embedded store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use feature_flags::config::Config;
use feature_flags::context::geo::GeoSource;
use feature_flags::http::{AppState, DefinitionsStores, Stores};
use feature_flags::hypercache::build::ConfigOptions;
use feature_flags::quota::Tasks;
use feature_flags::snapshot::BoxFuture;
use feature_flags::store::embedded::{EmbeddedCookieless, EmbeddedStore, ImportError, ProjectName};
use feature_flags::telemetry::log;

use super::settings::tiered_settings;
use super::{Failure, quota, service};

/// How long the watcher of changes waits after the store failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A store in one SQLite file.
pub struct Embedded {
    store: Arc<EmbeddedStore>,
}

impl Embedded {
    /// Opens or makes the file; `None`: a temporary one that goes with the store.
    pub fn open(file: Option<&Path>) -> Result<Self, Failure> {
        let opened = file.map_or_else(EmbeddedStore::temporary, EmbeddedStore::open);
        let store = opened.map_err(|error| Failure::new(error.to_string()))?;
        Ok(Self {
            store: Arc::new(store),
        })
    }

    /// Loads a project document, all or nothing; problems are reported all at once.
    pub fn import(&self, document: &[u8]) -> Result<(), Failure> {
        match self.store.import(document) {
            Ok(report) => {
                for warning in &report.warnings {
                    log::warn(warning);
                }
                Ok(())
            }
            Err(ImportError::Problems { problems, .. }) => {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                Err(Failure::new(format!(
                    "{}\nnothing was imported",
                    lines.join("\n")
                )))
            }
            Err(error @ ImportError::Store(_)) => Err(Failure::new(error.to_string())),
        }
    }

    /// All projects, in the order of their ids.
    pub async fn projects(&self) -> Result<Vec<ProjectName>, Failure> {
        self.store
            .projects()
            .await
            .map_err(|error| Failure::context("cannot read the store", error))
    }

    /// Limits read from this store, and usage counted in it.
    pub fn quota_tasks(&self, config: &Config, app: &AppState) -> Tasks {
        quota::start(
            config,
            app,
            Arc::clone(&self.store) as _,
            Arc::clone(&self.store) as _,
        )
    }

    /// State of a process that serves from this store, following changes of other processes to it.
    pub fn app_state(&self, config: &Config, geo: Option<Arc<dyn GeoSource>>) -> Arc<AppState> {
        let checked = Arc::clone(&self.store);
        let check = move || -> BoxFuture<'static, Result<(), String>> {
            let store = Arc::clone(&checked);
            Box::pin(async move { store.ping().await.map_err(|error| error.to_string()) })
        };
        let projects = self.store.project_source_with(
            &tiered_settings(config),
            ConfigOptions::from(&config.remote_config),
        );
        let stores = Stores {
            definitions: DefinitionsStores {
                source: Arc::clone(&projects) as _,
                rebuilds: None,
                auth: self.store.auth(config.continuity.skip_writes),
            },
            projects: projects as _,
            persons: Arc::clone(&self.store) as _,
            cookieless: Arc::new(EmbeddedCookieless::default()),
            geo,
            retries: Arc::default(),
            check: Box::new(check),
        };
        let state = Arc::new(AppState::new(config, stores));
        tokio::spawn(state.follow_changes(RETRY_AFTER));
        service::clean_limits(config, &state);
        state
    }
}
