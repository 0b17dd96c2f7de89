//! Looks at every store that settings name, without opening any of them for use.

use std::sync::Arc;
use std::time::Duration;

use super::{ConnectedSettings, together};
use crate::hypercache::BoxFuture;
use crate::resilience::RetryBudget;
use crate::store::examination::{Examination, Obstacle, Sound, within};
use crate::store::postgres::{self, DatabaseUse, PostgresUrl};
use crate::store::redis::{self, COOKIELESS, DEDICATED, RedisUse, SHARED, ServerUrl};
use crate::store::s3::S3Store;

/// All stores at the same time, none for longer than `limit`; `keys`: personal API keys are looked up. In the order in which
/// they are worth reading. Dropping the future ends the questions.
pub async fn examine(settings: &ConnectedSettings, keys: bool, limit: Duration) -> Vec<Examination> {
    let mut asked: Vec<BoxFuture<'_, Examination>> = Vec::new();
    let tracking = settings.heartbeat.is_some();
    let writes = !settings.skip_writes;
    let servers = &settings.redis;
    let dedicated = servers.flags_url.as_ref();
    let reads_shared = servers.reader_url.is_none();
    for (name, url, wanted) in [
        (
            SHARED.writer,
            Some(&servers.url),
            RedisUse {
                writes,
                tracking: tracking && reads_shared,
            },
        ),
        (
            SHARED.reader,
            servers.reader_url.as_ref(),
            RedisUse {
                writes: false,
                tracking,
            },
        ),
        (
            DEDICATED.writer,
            dedicated,
            RedisUse {
                writes,
                tracking: tracking && servers.flags_reader_url.is_none(),
            },
        ),
        (
            DEDICATED.reader,
            servers.flags_reader_url.as_ref().filter(|_| dedicated.is_some()),
            RedisUse {
                writes: false,
                tracking,
            },
        ),
        (
            COOKIELESS.writer,
            settings.cookieless_url.as_ref(),
            RedisUse {
                writes,
                tracking: false,
            },
        ),
    ] {
        if let Some(url) = url {
            asked.push(ask_redis(name, url, wanted, limit));
        }
    }
    let (apart, pools) = (settings.pools.persons.is_some(), &settings.pools);
    let reads = DatabaseUse {
        definitions: true,
        keys,
        persons: !apart,
        overrides: false,
    };
    let nothing = DatabaseUse {
        definitions: false,
        keys: false,
        persons: false,
        overrides: false,
    };
    let overrides = DatabaseUse {
        overrides: writes,
        ..nothing
    };
    let written = if apart { nothing } else { overrides };
    asked.push(ask_database(
        "non_persons_reader",
        &pools.non_persons_reader.url,
        reads,
        limit,
    ));
    asked.push(ask_database(
        "non_persons_writer",
        &pools.non_persons_writer.url,
        written,
        limit,
    ));
    if let Some((reader, writer)) = &pools.persons {
        let persons = DatabaseUse {
            persons: true,
            ..nothing
        };
        asked.push(ask_database("persons_reader", &reader.url, persons, limit));
        asked.push(ask_database("persons_writer", &writer.url, overrides, limit));
    }
    let bucket = &settings.objects.bucket;
    let place = match &settings.objects.endpoint {
        Some(endpoint) => format!("{bucket} at {endpoint}"),
        None => format!("{bucket} in {}", settings.objects.region),
    };
    let objects = S3Store::new(settings.objects.clone(), Arc::new(RetryBudget::default()));
    asked.push(Box::pin(within(limit, "s3", place, async move {
        objects.examine().await
    })));
    together(asked).await
}

fn ask_redis<'a>(
    name: &'static str,
    url: &str,
    wanted: RedisUse,
    limit: Duration,
) -> BoxFuture<'a, Examination> {
    match ServerUrl::parse(url) {
        Ok(url) => Box::pin(within(limit, name, url.to_string(), async move {
            redis::examine(&url, wanted).await
        })),
        Err(error) => {
            let found: Result<Sound, _> = Err(Obstacle::Other(error.to_string()));
            Box::pin(async move {
                Examination {
                    source: name,
                    place: String::new(),
                    found,
                }
            })
        }
    }
}

fn ask_database<'a>(
    name: &'static str,
    url: &'a PostgresUrl,
    wanted: DatabaseUse,
    limit: Duration,
) -> BoxFuture<'a, Examination> {
    Box::pin(within(limit, name, url.place(), postgres::examine(url, wanted)))
}
