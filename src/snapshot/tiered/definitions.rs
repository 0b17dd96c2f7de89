//! What `/flags/definitions` needs of the tiers: who a team is, and its entry as it is stored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Part, Payload as PartPayload, TieredSource};
use crate::definition::billable_key;
use crate::hypercache::parse::{ParsedDefinitions, parse_definitions, parse_identity};
use crate::hypercache::reader::{Content, Hit, Miss, ObjectFailure, RedisFailure};
use crate::hypercache::{EntryKey, TierError};
use crate::snapshot::feed::{DefinitionsSource, ETag, Feed, FeedTeam, Payload};
use crate::snapshot::port::{BoxFuture, Found, LoadError, Tier, Validity};
use crate::snapshot::push::PushClock;

/// What a team without definitions is answered (`http.md` 13.4).
const EMPTY: &[u8] = br#"{"flags": [], "group_type_mapping": {}, "cohorts": {}}"#;

/// How soon the second tier is asked again while the first, which would announce an entry, has none.
const LOWER_RECHECK: Duration = Duration::from_secs(30);

/// The same while neither has one: somebody waits for it.
const ABSENT_RECHECK: Duration = Duration::from_secs(5);

impl TieredSource {
    async fn identity(&self, token: &str, known: Option<&FeedTeam>) -> Result<Found<FeedTeam>, LoadError> {
        let epochs = self.feed.clock().epochs();
        let key = EntryKey::Team(token.into());
        let parse = |text: &str| parse_identity(text, token);
        let Some(Part {
            payload,
            tag,
            tracked,
            tier,
            ..
        }) = self.team(token, &key, known.map(FeedTeam::tag), parse).await?
        else {
            return Ok(Found::Nothing);
        };
        let validity = Validity {
            epochs: epochs.filter(|_| tracked),
            recheck_after: None,
            tier,
        };
        Ok(match payload {
            PartPayload::Unchanged => Found::Unchanged(validity),
            PartPayload::Value(identity) => Found::Value(Arc::new(FeedTeam::new(identity, tag)), validity),
        })
    }

    async fn definitions(&self, team_id: i32, known: Option<&Feed>) -> Result<Found<Feed>, LoadError> {
        let clock = self.feed.clock();
        let (epochs, now_ms) = (clock.epochs(), clock.milliseconds(Instant::now()));
        let held = known.and_then(|known| known.payload.as_ref());
        let key = EntryKey::Definitions(team_id);
        let reader = self.tiers.reader();
        let redis = match reader.read_with_etag(&key, held.map(|held| held.tag)).await {
            Ok((hit, etag)) => match payload(hit, etag.and_then(|etag| ETag::new(&etag)), held).await {
                Ok(payload) => {
                    let validity = Validity {
                        epochs,
                        recheck_after: None,
                        tier: Tier::Redis,
                    };
                    return Ok(found(team_id, payload, known, now_ms, validity));
                }
                // Not what the entry should hold: the second tier may have a good copy.
                Err(_) => RedisFailure::Unusable,
            },
            Err(failure) => failure,
        };
        let is_absent = redis == RedisFailure::Absent;
        if !is_absent && known.is_some_and(|known| known.payload.is_some() && known.is_kept(now_ms)) {
            // Better than a copy without an ETag, and all held teams together would be a flood for the second tier.
            return Err(failed(&redis));
        }
        let below = match reader.read_below(&key, redis).await {
            Ok(hit) => hit,
            Err(miss) if miss.is_definite() => {
                let validity = Validity {
                    epochs,
                    recheck_after: Some(ABSENT_RECHECK),
                    tier: Tier::None,
                };
                return Ok(Found::Value(Arc::new(Feed::new(team_id, None, now_ms)), validity));
            }
            Err(miss) => return Err(missed(&miss)),
        };
        let mut payload = payload(below, None, None)
            .await
            .map_err(LoadError::CacheUnreadable)?;
        let validity = if is_absent {
            Validity {
                epochs,
                recheck_after: Some(LOWER_RECHECK),
                tier: Tier::S3,
            }
        } else {
            if let Some(held) = held.filter(|held| held.body == payload.body) {
                // The very text that the ETag was stored with.
                payload = held.clone();
            }
            Validity {
                tier: Tier::S3,
                ..Validity::default()
            }
        };
        Ok(found(team_id, payload, known, now_ms, validity))
    }
}

fn found(
    team_id: i32,
    payload: Payload,
    known: Option<&Feed>,
    now_ms: u64,
    validity: Validity,
) -> Found<Feed> {
    if let Some(known) = known
        && let Some(held) = &known.payload
        && (held.tag, &held.etag) == (payload.tag, &payload.etag)
    {
        known.confirm(now_ms);
        return Found::Unchanged(validity);
    }
    Found::Value(Arc::new(Feed::new(team_id, Some(payload), now_ms)), validity)
}

/// A hit as it is passed on. `Err`: why it cannot be.
async fn payload(hit: Hit, etag: Option<ETag>, held: Option<&Payload>) -> Result<Payload, String> {
    let (source, tag) = (hit.source, hit.tag);
    let empty = || Payload {
        body: Bytes::from_static(EMPTY),
        // That of the stored text, if any; not of this one.
        etag: None,
        billable: false,
        source,
        tag,
    };
    match hit.content {
        Content::Missing => Ok(empty()),
        Content::Unchanged => match held {
            // An ETag is only given with a text of its own.
            Some(held) if held.body.as_ref() == EMPTY => Ok(held.clone()),
            Some(held) => Ok(Payload { etag, ..held.clone() }),
            None => Err("unchanged, but nothing was known".to_owned()),
        },
        Content::Text(text) => {
            // Megabytes: not on a worker that answers requests.
            let parsed = tokio::task::spawn_blocking(move || {
                let parsed = parse_definitions(&text, billable_key);
                // Without the room that decompression left: it would count towards no bound.
                (Bytes::from(text.into_boxed_str().into_boxed_bytes()), parsed)
            });
            let (body, parsed) = parsed.await.map_err(|error| error.to_string())?;
            match parsed.map_err(|error| error.to_string())? {
                ParsedDefinitions::Nothing => Ok(empty()),
                ParsedDefinitions::Flags { counts } => Ok(Payload {
                    body,
                    etag,
                    billable: counts,
                    source,
                    tag,
                }),
            }
        }
    }
}

/// The first tier gave no answer, or one that cannot be read, and the second is not asked.
fn failed(redis: &RedisFailure) -> LoadError {
    match redis {
        RedisFailure::Tier(TierError::Timeout) => LoadError::Timeout,
        RedisFailure::Corrupt(error) => LoadError::CacheUnreadable(error.to_string()),
        RedisFailure::Unusable => LoadError::CacheUnreadable("not this entry".to_owned()),
        RedisFailure::Absent => LoadError::NotCached,
        RedisFailure::Tier(error) => LoadError::Unavailable(error.to_string()),
    }
}

/// Some tier gave no answer, or one that cannot be read.
fn missed(miss: &Miss) -> LoadError {
    match (&miss.redis, &miss.objects) {
        (RedisFailure::Tier(TierError::Timeout), _) | (_, ObjectFailure::Tier(TierError::Timeout)) => {
            LoadError::Timeout
        }
        (RedisFailure::Corrupt(_) | RedisFailure::Unusable, _) => {
            LoadError::CacheUnreadable(miss.to_string())
        }
        (RedisFailure::Absent, _) => LoadError::Failed(miss.to_string()),
        (RedisFailure::Tier(_), _) => LoadError::Unavailable(miss.to_string()),
    }
}

impl DefinitionsSource for TieredSource {
    fn team<'a>(
        &'a self,
        token: &'a str,
        known: Option<&'a FeedTeam>,
    ) -> BoxFuture<'a, Result<Found<FeedTeam>, LoadError>> {
        Box::pin(self.identity(token, known))
    }

    fn feed<'a>(
        &'a self,
        team_id: i32,
        known: Option<&'a Feed>,
    ) -> BoxFuture<'a, Result<Found<Feed>, LoadError>> {
        Box::pin(self.definitions(team_id, known))
    }

    fn push_clock(&self) -> Arc<PushClock> {
        self.feed.clock()
    }
}
