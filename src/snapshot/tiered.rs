//! Loads a project through the tiers: Redis, then S3, then the database (`storage.md` 2.8).
//!
//! Team first, because its id names the other entries; then flags, configuration and what is read from the database, at
//! once. What a miss or a corrupt value means is decided here. Adapters are ports; start-up chooses them.

mod definitions;

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{Counter, Histogram, counter, histogram};
use tokio::time::timeout;

use super::entry::{Part, Payload, TierReader};
use super::inputs::DatabaseInputs;
use super::port::{BoxFuture, Changes, LoadError, Loaded, LoadedProject, ProjectSource, Tier, Validity};
use super::project::{KnownInputs, ProjectSnapshot, Tags};
use super::push::PushClock;
use crate::definition::{RawProject, RawTeam};
use crate::hypercache::build::{flags_payload, team_payload};
use crate::hypercache::parse::{ParseError, ParsedFlags, parse_config, parse_flags, parse_team};
use crate::hypercache::reader::HyperCacheReader;
use crate::hypercache::{DatabaseError, DefinitionDatabase, Entry, EntryKey};

/// How soon inputs are read again that could not be read this time.
const FAILED_RECHECK: Duration = Duration::from_secs(1);

/// How soon a configuration is looked for again whose second tier gave no answer.
const CONFIG_RECHECK: Duration = Duration::from_secs(30);

/// How long the first load of a team waits for a configuration that Redis does not have: flags do not need it, and a
/// second tier that stalls would hold them up for its whole step. The load after it waits to the end, with nobody behind it.
const FIRST_CONFIG_WAIT: Duration = Duration::from_millis(800);

/// Where announcements of changes come from.
pub trait ChangeFeed: Send + Sync {
    /// Waits for the next changes. Cancel safe.
    fn next(&self) -> BoxFuture<'_, Result<Changes, LoadError>>;

    /// What the feed has proven.
    fn clock(&self) -> Arc<PushClock>;
}

/// What start-up decides about loading.
#[derive(Debug, Clone, Copy)]
pub struct TieredSettings {
    /// `SKIP_PG_TEAM_FALLBACK`: no cache has the team, so it does not exist.
    pub skip_team_fallback: bool,
    /// Bytes of cohort definitions read from the database (`COHORT_CACHE_CAPACITY_BYTES`).
    pub cohort_bytes_max: usize,
    /// After which they are read again (`CACHE_TTL_SECONDS`).
    pub cohort_ttl: Duration,
    /// Group type mappings kept (`GROUP_TYPE_CACHE_MAX_ENTRIES`).
    pub group_types_max: usize,
    /// After which they are read again (`GROUP_TYPE_CACHE_TTL_SECONDS`).
    pub group_types_ttl: Duration,
}

impl Default for TieredSettings {
    /// The defaults of the settings.
    fn default() -> Self {
        Self {
            skip_team_fallback: false,
            cohort_bytes_max: 256 << 20,
            cohort_ttl: Duration::from_secs(300),
            group_types_max: 50_000,
            group_types_ttl: Duration::from_secs(300),
        }
    }
}

/// The project source of every mode.
pub struct TieredSource {
    tiers: TierReader,
    database: Arc<dyn DefinitionDatabase>,
    inputs: DatabaseInputs,
    feed: Arc<dyn ChangeFeed>,
    skip_team_fallback: bool,
    hasher: ahash::RandomState,
    metrics: TieredMetrics,
}

/// What is counted beside the reader.
struct TieredMetrics {
    team_reads: Counter,
    definition_query_ms: Histogram,
    /// Flags from the database, because no cache had them.
    fallbacks: Counter,
    /// Tokens that neither cache nor database has.
    not_found_anywhere: Counter,
}

impl Default for TieredMetrics {
    fn default() -> Self {
        let (namespace, value) = (Entry::Flags.namespace(), Entry::Flags.value());
        let (team_namespace, team_value) = (Entry::Team.namespace(), Entry::Team.value());
        Self {
            team_reads: counter!("flags_db_team_reads_total"),
            definition_query_ms: histogram!("flags_definition_query_time"),
            fallbacks: counter!(
                "posthog_hypercache_get_from_cache",
                "result" => "hit_fallback", "namespace" => namespace, "value" => value
            ),
            not_found_anywhere: counter!(
                "posthog_tombstone_total",
                "failure_type" => "hypercache_fallback_miss", "namespace" => team_namespace, "value" => team_value
            ),
        }
    }
}

impl TieredSource {
    /// A source over these parts.
    #[must_use]
    pub fn new(
        reader: Arc<HyperCacheReader>,
        database: Arc<dyn DefinitionDatabase>,
        feed: Arc<dyn ChangeFeed>,
        settings: &TieredSettings,
    ) -> Self {
        Self {
            tiers: TierReader::new(reader),
            inputs: DatabaseInputs::new(Arc::clone(&database), settings),
            database,
            feed,
            skip_team_fallback: settings.skip_team_fallback,
            hasher: ahash::RandomState::new(),
            metrics: TieredMetrics::default(),
        }
    }

    /// Caches of what is read from the database, for monitors.
    #[must_use]
    pub fn inputs(&self) -> &DatabaseInputs {
        &self.inputs
    }

    async fn load_project(&self, token: &str, known: Option<&ProjectSnapshot>) -> Result<Loaded, LoadError> {
        // Before anything is read: a change after this moment is announced, or ends the epoch.
        let epochs = self.feed.clock().epochs();
        let Some(read) = self.read(token, known).await? else {
            return Ok(Loaded::UnknownToken);
        };
        let read = match known {
            Some(known) if read.tags == known.tags => return Ok(Loaded::Unchanged(read.validity(epochs))),
            // Something has changed: what was left out because it had not is needed now.
            Some(_) if !read.is_complete() => match self.read(token, None).await? {
                Some(read) => read,
                None => return Ok(Loaded::UnknownToken),
            },
            _ => read,
        };
        let validity = read.validity(epochs);
        let (tags, inputs) = (read.tags, read.inputs);
        Ok(Loaded::Project(Box::new(LoadedProject {
            raw: read.into_raw(),
            tags,
            inputs,
            validity,
        })))
    }

    /// Everything of a project; parts that `known` has unchanged are left out. `None`: no team has the token.
    async fn read(&self, token: &str, known: Option<&ProjectSnapshot>) -> Result<Option<Read>, LoadError> {
        let tags = known.map(|known| known.tags);
        let key = EntryKey::Team(token.into());
        let (team, others) = match known {
            // The id is most likely the same: all entries are asked for at once.
            Some(known) => {
                let (team, others) = tokio::join!(
                    self.team(token, &key, tags.map(|tags| tags.team), |text| parse_team(
                        text, token
                    )),
                    self.entries(token, known.team.id, tags)
                );
                (team?, Some((known.team.id, others)))
            }
            None => (
                self.team(token, &key, None, |text| parse_team(text, token))
                    .await?,
                None,
            ),
        };
        let Some(team) = team else { return Ok(None) };
        let id = match (&team.payload, known) {
            (Payload::Value(team), _) => team.id,
            (Payload::Unchanged, Some(known)) => known.team.id,
            (Payload::Unchanged, None) => return Err(LoadError::Corrupt("nothing is known".into())),
        };
        let (flags, config) = match others {
            Some((asked, others)) if asked == id => others,
            _ => self.entries(token, id, tags).await,
        };
        let (flags, config) = (flags?, config);
        let mut read = Read {
            tags: Tags {
                team: team.tag,
                flags: flags.tag,
                config: config.tag,
                ..Tags::default()
            },
            inputs: known.map(|known| known.inputs).unwrap_or_default(),
            tracked: team.tracked && flags.tracked && config.tracked,
            tier: team.tier.max(flags.tier),
            recheck_after: config.recheck_after,
            team: team.payload,
            flags: flags.payload,
            config: config.payload,
            cohorts: None,
            group_types: Vec::new(),
            group_types_failed: false,
        };
        if let Payload::Value(flags) = &read.flags {
            read.inputs = KnownInputs {
                cohorts_apart: flags.cohorts.is_none() && flags.flags.iter().any(uses::cohorts),
                group_types: flags.flags.iter().any(uses::groups)
                    || flags
                        .cohorts
                        .as_ref()
                        .is_none_or(|cohorts| cohorts.iter().any(uses::cohort_groups)),
            };
        }
        self.read_inputs(id, &mut read).await;
        Ok(Some(read))
    }

    /// What `parse` reads of the team entry, or of the row in its place. `None`: no team has the token.
    async fn team<T>(
        &self,
        token: &str,
        key: &EntryKey,
        known: Option<u64>,
        parse: impl Fn(&str) -> Result<T, ParseError>,
    ) -> Result<Option<Part<T>>, LoadError> {
        let miss = match self.tiers.read(key, known, &parse).await {
            Ok(part) => return Ok(part),
            Err(miss) => miss,
        };
        if self.skip_team_fallback {
            return if miss.is_definite {
                Ok(None)
            } else {
                Err(miss.into_error())
            };
        }
        self.metrics.team_reads.increment(1);
        let Some(row) = self.database.team_by_token(token).await.map_err(database_error)? else {
            self.metrics.not_found_anywhere.increment(1);
            return Ok(None);
        };
        self.built(&team_payload(&row), known, parse).map(Some)
    }

    /// Flags and configuration of a team. Configuration never fails: without it answers have the minimal one.
    async fn entries(
        &self,
        token: &str,
        team_id: i32,
        known: Option<Tags>,
    ) -> (Result<Part<ParsedFlags>, LoadError>, Part<Option<String>>) {
        let config = async {
            let parse = |text: &str| parse_config(text).map(|()| Some(text.to_owned()));
            let key = EntryKey::Config(token.into());
            let read = self.tiers.read(&key, known.map(|tags| tags.config), parse);
            let read = match known {
                Some(_) => read.await,
                None => match timeout(FIRST_CONFIG_WAIT, read).await {
                    Ok(read) => read,
                    Err(_) => {
                        return Part {
                            recheck_after: Some(FAILED_RECHECK),
                            ..Part::empty(false)
                        };
                    }
                },
            };
            match read {
                Ok(Some(part)) => part,
                Ok(None) => Part::empty(true),
                Err(miss) if miss.is_definite => Part::empty(true),
                // Redis announces when it gets one; that the second tier is away is no reason to ask all the time.
                Err(miss) => Part {
                    recheck_after: miss.is_announced.then_some(CONFIG_RECHECK),
                    ..Part::empty(miss.is_announced)
                },
            }
        };
        tokio::join!(self.flags(team_id, known), config)
    }

    async fn flags(&self, team_id: i32, known: Option<Tags>) -> Result<Part<ParsedFlags>, LoadError> {
        let known = known.map(|tags| tags.flags);
        match self
            .tiers
            .read(&EntryKey::Flags(team_id), known, parse_flags)
            .await
        {
            Ok(Some(part)) => Ok(part),
            // The sentinel: a team without flags, and without anything that they could need.
            Ok(None) => Ok(Part::empty(true).map(|()| no_flags())),
            Err(_) => {
                let began = Instant::now();
                let rows = self.database.project_rows(team_id).await;
                let took = began.elapsed().as_secs_f64() * 1_000.0;
                self.metrics.definition_query_ms.record(took);
                let rows = rows.map_err(database_error)?;
                self.metrics.fallbacks.increment(1);
                match rows {
                    Some(rows) => self.built(&flags_payload(&rows), known, parse_flags),
                    None => Ok(Part::empty(false).map(|()| no_flags())),
                }
            }
        }
    }

    /// What the builder made of rows, read as if a cache had had it.
    fn built<T>(
        &self,
        text: &str,
        known: Option<u64>,
        parse: impl Fn(&str) -> Result<T, ParseError>,
    ) -> Result<Part<T>, LoadError> {
        let tag = self.hasher.hash_one(text);
        let payload = if known == Some(tag) {
            Payload::Unchanged
        } else {
            Payload::Value(parse(text).map_err(|error| LoadError::Corrupt(error.to_string()))?)
        };
        Ok(Part {
            payload,
            tag,
            tracked: false,
            recheck_after: None,
            tier: Tier::Database,
        })
    }

    /// Cohorts and group types, where they matter. Their failure costs the flags that need them, nothing else.
    async fn read_inputs(&self, team_id: i32, read: &mut Read) {
        let (cohorts, group_types) = tokio::join!(
            async {
                match read.inputs.cohorts_apart {
                    true => Some(self.inputs.cohorts(team_id).await),
                    false => None,
                }
            },
            async {
                match read.inputs.group_types {
                    true => Some(self.inputs.group_types(team_id).await),
                    false => None,
                }
            }
        );
        match cohorts {
            Some(Ok(cohorts)) => {
                read.tags.cohorts = cohorts.tag;
                read.due_after(cohorts.remaining.max(FAILED_RECHECK));
                read.cohorts = Some(cohorts.value.as_ref().clone());
            }
            Some(Err(_)) => read.due_after(FAILED_RECHECK),
            None => {}
        }
        match group_types {
            Some(Ok(types)) => {
                read.tags.group_types = types.tag;
                read.due_after(types.remaining.max(FAILED_RECHECK));
                read.group_types = types.value.as_ref().clone();
            }
            Some(Err(_)) => {
                read.group_types_failed = true;
                read.due_after(FAILED_RECHECK);
            }
            None => {}
        }
    }
}

fn no_flags() -> ParsedFlags {
    ParsedFlags {
        cohorts: Some(Vec::new()),
        ..ParsedFlags::default()
    }
}

pub(super) fn database_error(error: DatabaseError) -> LoadError {
    match error {
        DatabaseError::Unavailable(detail) => LoadError::Unavailable(detail),
        DatabaseError::Timeout => LoadError::Timeout,
        DatabaseError::Corrupt(detail) => LoadError::Corrupt(detail),
        DatabaseError::Failed(detail) => LoadError::Failed(detail),
    }
}

/// All parts of one load.
struct Read {
    tags: Tags,
    inputs: KnownInputs,
    /// Every entry came from a server that announces changes.
    tracked: bool,
    /// The lowest that team or flags came from.
    tier: Tier,
    recheck_after: Option<Duration>,
    team: Payload<RawTeam>,
    flags: Payload<ParsedFlags>,
    config: Payload<Option<String>>,
    /// Read apart from the flags entry.
    cohorts: Option<Vec<crate::definition::RawCohort>>,
    group_types: Vec<(i32, String)>,
    group_types_failed: bool,
}

impl Read {
    fn is_complete(&self) -> bool {
        !matches!(
            (&self.team, &self.flags, &self.config),
            (Payload::Unchanged, _, _) | (_, Payload::Unchanged, _) | (_, _, Payload::Unchanged)
        )
    }

    fn due_after(&mut self, time: Duration) {
        self.recheck_after = Some(self.recheck_after.map_or(time, |due| due.min(time)));
    }

    fn validity(&self, epochs: Option<super::push::Epochs>) -> Validity {
        Validity {
            epochs: epochs.filter(|_| self.tracked),
            recheck_after: self.recheck_after,
            tier: self.tier,
        }
    }

    fn into_raw(self) -> RawProject {
        let flags = self.flags.into_value().unwrap_or_default();
        RawProject {
            team: self.team.into_value().unwrap_or_default(),
            flags: flags.flags,
            malformed_flags: flags.malformed_flags,
            cohorts: flags.cohorts.or(self.cohorts).unwrap_or_default(),
            group_types: self.group_types,
            group_types_failed: self.group_types_failed,
            evaluation_metadata: flags.evaluation_metadata,
            remote_config: self.config.into_value().flatten(),
        }
    }
}

/// What flags and cohorts need from the database.
mod uses {
    use crate::definition::{FilterType, RawCohort, RawConditionSet, RawFlag, RawPropertyFilter};

    fn sets(flag: &RawFlag) -> impl Iterator<Item = &RawConditionSet> {
        let filters = &flag.filters;
        filters
            .groups
            .iter()
            .chain(filters.super_groups.iter().flatten())
            .chain(filters.holdout_groups.iter().flatten())
    }

    fn properties(flag: &RawFlag) -> impl Iterator<Item = &RawPropertyFilter> {
        sets(flag).flat_map(|set| set.properties.iter().flatten())
    }

    pub fn cohorts(flag: &RawFlag) -> bool {
        properties(flag).any(|filter| filter.filter_type == FilterType::Cohort)
    }

    pub fn groups(flag: &RawFlag) -> bool {
        flag.filters.aggregation_group_type_index.is_some()
            || sets(flag).any(|set| matches!(set.aggregation_group_type_index, Some(Some(_))))
            || properties(flag)
                .any(|filter| filter.group_type_index.is_some() || filter.filter_type == FilterType::Group)
    }

    /// Whether a cohort's definition could name a group type. Rare: looking at the text is enough.
    pub fn cohort_groups(cohort: &RawCohort) -> bool {
        let mentions = |value: &serde_json::Value| {
            let text = value.to_string();
            text.contains("\"group_type_index\"") || text.contains("\"group\"")
        };
        cohort.filters.as_ref().is_some_and(mentions) || cohort.groups.as_ref().is_some_and(mentions)
    }
}

impl ProjectSource for TieredSource {
    fn load<'a>(
        &'a self,
        token: &'a str,
        known: Option<&'a ProjectSnapshot>,
    ) -> BoxFuture<'a, Result<Loaded, LoadError>> {
        Box::pin(self.load_project(token, known))
    }

    fn changed(&self) -> BoxFuture<'_, Result<Changes, LoadError>> {
        self.feed.next()
    }

    fn push_clock(&self) -> Arc<PushClock> {
        self.feed.clock()
    }
}
