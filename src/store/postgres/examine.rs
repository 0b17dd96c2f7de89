//! Whether a database can be used as the settings say: over a connection of its own, so that the server's own words are seen.

use std::error::Error as _;
use std::io;

use tokio_postgres::{Client, Error};

use super::tls;
use super::url::PostgresUrl;
use crate::store::examination::{Obstacle, Sound};

/// What a pool is for; one database may serve several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseUse {
    /// Teams, flags and cohorts are read.
    pub definitions: bool,
    /// Keys of `/flags/definitions` are looked up.
    pub keys: bool,
    /// Persons, groups, membership and continuity rows are read.
    pub persons: bool,
    /// Continuity rows are written.
    pub overrides: bool,
}

/// A table and what must be allowed on it.
type Need = (&'static str, &'static str);

const DEFINITIONS: &[Need] = &[
    ("posthog_team", "SELECT"),
    ("posthog_organization", "SELECT"),
    ("posthog_project", "SELECT"),
    ("posthog_featureflag", "SELECT"),
    ("posthog_cohort", "SELECT"),
];
const KEYS: &[Need] = &[
    ("posthog_personalapikey", "SELECT"),
    ("posthog_user", "SELECT"),
    ("posthog_organizationmembership", "SELECT"),
];
const PERSONS: &[Need] = &[
    ("posthog_person", "SELECT"),
    ("posthog_persondistinctid", "SELECT"),
    ("posthog_group", "SELECT"),
    ("posthog_grouptypemapping", "SELECT"),
    ("posthog_cohortpeople", "SELECT"),
    ("posthog_featureflaghashkeyoverride", "SELECT"),
];
const OVERRIDES: &[Need] = &[
    ("posthog_person", "SELECT"),
    ("posthog_persondistinctid", "SELECT"),
    ("posthog_featureflaghashkeyoverride", "SELECT"),
    ("posthog_featureflaghashkeyoverride", "INSERT"),
];

const SERVER: &str = "SELECT current_setting('server_version'), pg_is_in_recovery()";

/// `has_table_privilege` fails for a table that is not there.
const TABLES: &str = "SELECT to_regclass(name) IS NOT NULL,
        CASE WHEN to_regclass(name) IS NULL THEN false ELSE has_table_privilege(to_regclass(name), privilege) END
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS needs(name, privilege, at) ORDER BY at";

/// Looks at a database.
///
/// # Errors
/// With the first thing that is in the way. It has no time limit of its own.
pub async fn examine(url: &PostgresUrl, wanted: DatabaseUse) -> Result<Sound, Obstacle> {
    let connector = tls::connector(url).map_err(|error| Obstacle::Tls(error.to_string()))?;
    let mut config = url.config.clone();
    if config.get_application_name().is_none() {
        config.application_name("feature-flags check");
    }
    let (client, driver) = tls::connect(&config, &connector)
        .await
        .map_err(|error| obstacle(&error))?;
    let driving = tokio::spawn(async move { drop(driver.await) });
    let found = look(&client, wanted).await;
    driving.abort();
    found
}

async fn look(client: &Client, wanted: DatabaseUse) -> Result<Sound, Obstacle> {
    let failed = |error: Error| obstacle(&error);
    let server = client.query_one(SERVER, &[]).await.map_err(failed)?;
    let version: String = server.try_get(0).map_err(failed)?;
    let replica: bool = server.try_get(1).map_err(failed)?;
    if replica && wanted.overrides {
        return Err(Obstacle::ReadOnly("it is a replica".to_owned()));
    }
    let number = version.split(' ').next().unwrap_or_default();
    let mut sound = Sound {
        what: format!("PostgreSQL {number}{}", if replica { ", replica" } else { "" }),
        ..Sound::default()
    };
    let needs: Vec<Need> = [
        (wanted.definitions, DEFINITIONS),
        (wanted.persons, PERSONS),
        (wanted.overrides, OVERRIDES),
    ]
    .into_iter()
    .filter(|(wanted, _)| *wanted)
    .flat_map(|(_, needs)| needs.iter().copied())
    .collect();
    let (missing, refused) = lacking(client, &needs).await.map_err(failed)?;
    if !missing.is_empty() {
        return Err(Obstacle::MissingTables(missing));
    }
    if !refused.is_empty() {
        return Err(Obstacle::NotPermitted(refused.join(", ")));
    }
    if wanted.keys {
        let (missing, refused) = lacking(client, KEYS).await.map_err(failed)?;
        let lacks = [missing, refused].concat();
        if !lacks.is_empty() {
            sound.remarks.push(format!(
                "personal API keys cannot be looked up: {}",
                lacks.join(", ")
            ));
        }
    }
    Ok(sound)
}

/// Tables that are not there, and rights that are not had on those that are.
async fn lacking(client: &Client, needs: &[Need]) -> Result<(Vec<String>, Vec<String>), Error> {
    let names: Vec<&str> = needs.iter().map(|(table, _)| *table).collect();
    let rights: Vec<&str> = needs.iter().map(|(_, right)| *right).collect();
    let rows = client.query(TABLES, &[&names, &rights]).await?;
    let (mut missing, mut refused): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for ((table, right), row) in needs.iter().zip(&rows) {
        let (there, allowed): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
        if !there {
            if !missing.iter().any(|known| known == table) {
                missing.push((*table).to_owned());
            }
        } else if !allowed {
            let refusal = format!("{right} on {table}");
            if !refused.contains(&refusal) {
                refused.push(refusal);
            }
        }
    }
    Ok((missing, refused))
}

fn obstacle(error: &Error) -> Obstacle {
    if let Some(answer) = error.as_db_error() {
        let said = answer.message().to_owned();
        return match answer.code().code() {
            "28P01" | "28000" => Obstacle::WrongCredentials(said),
            "3D000" => Obstacle::NoSuchPlace(said),
            "42501" => Obstacle::NotPermitted(said),
            _ => Obstacle::Other(said),
        };
    }
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    let text = if cause.is_empty() {
        error.to_string()
    } else {
        format!("{error}: {cause}")
    };
    if cause.contains("password missing") {
        return Obstacle::NoCredentials("the server wants a password".to_owned());
    }
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return if text.contains("TLS") {
                Obstacle::Tls(text)
            } else {
                Obstacle::Unreachable(io.to_string())
            };
        }
        next = cause.source();
    }
    if text.contains("TLS") {
        Obstacle::Tls(text)
    } else if error.is_closed() {
        Obstacle::Unreachable(text)
    } else {
        Obstacle::Other(text)
    }
}
