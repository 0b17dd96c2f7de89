//! Looks up teams that are held, as every request does, for counting instructions: the difference of two runs by their number.
//!
//! ```text
//! snapshot_get tracked|untracked LOOKUPS
//! ```
//!
//! `tracked`: the freshness of each team also rests on what tracking connections of two servers have proven.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use feature_flags::definition::{RawProject, RawTeam};
use feature_flags::snapshot::{
    BoxFuture, Changes, KnownInputs, LoadError, Loaded, LoadedProject, ProjectSnapshot, ProjectSource,
    PushClock, SnapshotMap, SnapshotSettings, Tags, Validity,
};

/// Looked up in turn.
const TEAMS: usize = 1_000;

struct Teams {
    clock: Arc<PushClock>,
}

impl ProjectSource for Teams {
    fn load<'a>(
        &'a self,
        token: &'a str,
        _known: Option<&'a ProjectSnapshot>,
    ) -> BoxFuture<'a, Result<Loaded, LoadError>> {
        let project = LoadedProject {
            raw: RawProject {
                team: RawTeam {
                    api_token: token.to_owned(),
                    ..RawTeam::default()
                },
                ..RawProject::default()
            },
            tags: Tags::default(),
            inputs: KnownInputs::default(),
            validity: Validity {
                epochs: self.clock.epochs(),
                recheck_after: Some(Duration::from_secs(300)),
                ..Validity::default()
            },
        };
        Box::pin(std::future::ready(Ok(Loaded::Project(Box::new(project)))))
    }

    fn changed(&self) -> BoxFuture<'_, Result<Changes, LoadError>> {
        Box::pin(std::future::pending())
    }

    fn push_clock(&self) -> Arc<PushClock> {
        Arc::clone(&self.clock)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const USAGE: &str = "usage: snapshot_get tracked|untracked LOOKUPS";
    let mut arguments = std::env::args().skip(1);
    let servers = match arguments.next().as_deref() {
        Some("tracked") => 2,
        Some("untracked") => 0,
        _ => return Err(USAGE.into()),
    };
    let lookups: usize = arguments.next().ok_or(USAGE)?.parse()?;
    let clock = Arc::new(PushClock::new(servers));
    for server in 0..servers {
        clock.begin(server, Instant::now());
    }
    let settings = SnapshotSettings {
        soft_ttl: Duration::from_secs(3600),
        hard_ttl: Duration::from_secs(7200),
        ..SnapshotSettings::default()
    };
    let map = Arc::new(SnapshotMap::new(Arc::new(Teams { clock }), settings));
    let tokens: Vec<String> = (0..TEAMS)
        .map(|team| format!("phc_team_{team:04}_with_a_token_of_usual_length"))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        for token in &tokens {
            map.get_or_load(token).await?;
        }
        Ok::<_, feature_flags::snapshot::LookupError>(())
    })?;
    let mut found = 0;
    for token in tokens.iter().cycle().take(lookups) {
        found += usize::from(black_box(map.get(black_box(token))).is_some());
    }
    println!("{found} of {lookups} lookups found a team");
    Ok(())
}
