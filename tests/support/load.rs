//! Loads a project of an embedded store as a server does, without what an earlier load left in memory.

use std::sync::Arc;

use feature_flags::definition::RawProject;
use feature_flags::snapshot::{Changed, Changes, Loaded, ProjectSource, TieredSettings};
use feature_flags::store::embedded::EmbeddedStore;

/// What the token's snapshot is compiled from; `None`: no team has the token.
pub async fn load(store: &Arc<EmbeddedStore>, token: &str) -> Option<RawProject> {
    let source = store.project_source(&TieredSettings::default());
    raw(source.load(token, None).await.expect("the store answers"))
}

/// The project of a load.
pub fn raw(loaded: Loaded) -> Option<RawProject> {
    match loaded {
        Loaded::Project(project) => Some(project.raw),
        Loaded::UnknownToken => None,
        Loaded::Unchanged(_) => panic!("nothing was known"),
    }
}

/// The tokens that are announced next.
#[allow(dead_code, reason = "not every test binary waits for changes")]
pub async fn changed(source: &dyn ProjectSource) -> Vec<String> {
    match source.changed().await.expect("the store answers") {
        Changes::Everything => panic!("no announcement was lost"),
        Changes::Projects(changed) => changed
            .into_iter()
            .map(|change| match change {
                Changed::Token(token) => token.to_string(),
                Changed::Team(id) | Changed::Definitions(id) => panic!("team {id} is announced by token"),
            })
            .collect(),
    }
}
