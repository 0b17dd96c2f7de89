//! Stores: which setting each one is named by, and what to do when it cannot be used.

use std::time::Duration;

use feature_flags::config::{Config, ServiceMode, Setting};
use feature_flags::store::connected::examine;
use feature_flags::store::examination::{Examination, Obstacle};

use super::finding::{Finding, Level, decided_by, from};
use crate::command::connected;

/// Clocks further apart than this make tokens and daily salts disagree between processes.
const CLOCK_DISTANCE_MAX: Duration = Duration::from_secs(2);

/// What kind of store; advice differs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Redis,
    Database,
    Objects,
}

/// Looks at all of them, none for longer than `limit`.
pub async fn findings(config: &Config, settings: &[Setting], limit: Duration) -> Vec<Finding> {
    let stores = match connected::settings(config) {
        Ok(stores) => stores,
        Err(failure) => {
            let from = "variables".to_owned();
            return vec![Finding::bad(
                Level::Problem,
                "stores",
                from,
                failure.to_string(),
                "correct the value",
            )];
        }
    };
    let keys = config.server.service_mode != ServiceMode::Flags;
    let examined = examine(&stores, keys, limit).await;
    let mut findings: Vec<Finding> = examined
        .iter()
        .flat_map(|examination| judge(examination, config, settings))
        .collect();
    findings.extend(clock(&examined));
    findings
}

fn judge(examination: &Examination, config: &Config, settings: &[Setting]) -> Vec<Finding> {
    let Examination { source, place, found } = examination;
    let (kind, mut name) = named_by(source, config);
    if kind == Kind::Objects
        && config.object_storage.endpoint.is_some()
        && matches!(found, Err(Obstacle::Unreachable(_) | Obstacle::Silent(_)))
    {
        name = "OBJECT_STORAGE_ENDPOINT";
    }
    let from = from(settings, name);
    match found {
        Ok(sound) => {
            let mut all = vec![Finding::good(
                source,
                from.clone(),
                format!("{place}: {}", sound.what),
            )];
            all.extend(sound.remarks.iter().map(|remark| {
                let advice = match kind {
                    Kind::Redis => "allow it to the user of the URL (ACL SETUSER)",
                    Kind::Database | Kind::Objects => "grant SELECT on them, or set SERVICE_MODE=flags",
                };
                Finding::bad(Level::Warning, source, from.clone(), remark.clone(), advice)
            }));
            all
        }
        Err(obstacle) => {
            let advice = advice(kind, obstacle, decided_by(settings, name));
            let said = if place.is_empty() {
                obstacle.to_string()
            } else {
                format!("{place}: {obstacle}")
            };
            vec![Finding::bad(Level::Problem, source, from, said, advice)]
        }
    }
}

fn named_by(source: &str, config: &Config) -> (Kind, &'static str) {
    let persons = |own: &Option<_>, name, other| if own.is_some() { name } else { other };
    let (reader, writer) = ("PERSONS_READ_DATABASE_URL", "PERSONS_WRITE_DATABASE_URL");
    match source {
        "redis" => (Kind::Redis, "REDIS_URL"),
        "redis_reader" => (Kind::Redis, "REDIS_READER_URL"),
        "flags_redis" => (Kind::Redis, "FLAGS_REDIS_URL"),
        "flags_redis_reader" => (Kind::Redis, "FLAGS_REDIS_READER_URL"),
        "cookieless_redis" => (Kind::Redis, "COOKIELESS_REDIS_HOST"),
        "non_persons_reader" => (Kind::Database, "READ_DATABASE_URL"),
        "non_persons_writer" => (Kind::Database, "WRITE_DATABASE_URL"),
        "persons_reader" => {
            let name = persons(&config.database.persons_read_url, reader, writer);
            (Kind::Database, name)
        }
        "persons_writer" => {
            let name = persons(&config.database.persons_write_url, writer, reader);
            (Kind::Database, name)
        }
        _ => (Kind::Objects, "OBJECT_STORAGE_BUCKET"),
    }
}

fn advice(kind: Kind, obstacle: &Obstacle, name: &str) -> String {
    match (kind, obstacle) {
        (Kind::Objects, Obstacle::Unreachable(_)) => {
            "correct OBJECT_STORAGE_ENDPOINT or OBJECT_STORAGE_REGION, or let the network through".to_owned()
        }
        (_, Obstacle::Unreachable(_)) => format!("start it, or correct host and port in {name}"),
        (_, Obstacle::Silent(_)) => {
            format!("look at its load and at firewalls, or correct host and port in {name}")
        }
        (Kind::Objects, Obstacle::NoCredentials(_)) => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the process a role".to_owned()
        }
        (Kind::Objects, Obstacle::NotPermitted(_) | Obstacle::WrongCredentials(_)) => {
            "allow s3:ListBucket on the bucket and s3:GetObject on its objects, or correct the credentials"
                .to_owned()
        }
        (Kind::Objects, Obstacle::NoSuchPlace(_)) => "create it, or correct OBJECT_STORAGE_BUCKET".to_owned(),
        (_, Obstacle::NoCredentials(_)) => format!("put user and password into {name}"),
        (_, Obstacle::WrongCredentials(_)) => format!("correct user and password in {name}"),
        (Kind::Redis, Obstacle::NotPermitted(_)) => {
            format!("allow it to the user of {name} (ACL SETUSER)")
        }
        (_, Obstacle::NotPermitted(_)) => format!("grant it to the user of {name}"),
        (_, Obstacle::NoSuchPlace(_)) => format!("create it, or correct the database in {name}"),
        (_, Obstacle::MissingTables(_)) => {
            format!("run Django's migrations there, or name PostHog's own database in {name}")
        }
        (_, Obstacle::ReadOnly(_)) => format!("name the primary in {name}, or set SKIP_WRITES=true"),
        (_, Obstacle::Tls(_)) => format!("correct sslmode or sslrootcert in {name}"),
        (_, Obstacle::Other(_)) => format!("correct {name}"),
    }
}

/// Against the first server that told its time.
fn clock(examined: &[Examination]) -> Option<Finding> {
    let (source, distance) = examined.iter().find_map(|examination| {
        let sound = examination.found.as_ref().ok()?;
        Some((examination.source, sound.clock_distance?))
    })?;
    let from = "system".to_owned();
    Some(if distance > CLOCK_DISTANCE_MAX {
        Finding::bad(
            Level::Warning,
            "clock",
            from,
            format!("{:.1} s away from the clock of {source}", distance.as_secs_f64()),
            "synchronise both with NTP",
        )
    } else {
        Finding::good("clock", from, format!("agrees with the clock of {source}"))
    })
}
