//! Personal API keys, and the user, organization membership and link rows that they need.

use std::collections::HashSet;

use rusqlite::{Transaction, params};

use super::identity::derived_uuid;
use super::plan::Plan;
use super::rows::{Column, execute, upsert};
use crate::definition::document::DocumentKey;

/// Hex digits of the hash that make a key's row id: as unlikely to collide as a random one.
const KEY_ID_DIGITS: usize = 32;

/// Replaces the keys that earlier documents of this team brought. A key that another team's document
/// brought too stays for that team.
pub(super) fn write(transaction: &Transaction<'_>, plan: &Plan<'_>) -> rusqlite::Result<bool> {
    let mut changed = false;
    let mut wanted: HashSet<String> = HashSet::new();
    for key in &plan.document.personal_api_keys {
        let id = key_id(key);
        changed |= write_key(transaction, plan, key, &id)?;
        wanted.insert(id);
    }
    let linked: Vec<String> = transaction
        .prepare_cached("SELECT key_id FROM embedded_project_key WHERE team_id = ?1")?
        .query_map([plan.team_id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in linked.iter().filter(|id| !wanted.contains(*id)) {
        let unlink = "DELETE FROM embedded_project_key WHERE team_id = ?1 AND key_id = ?2";
        changed |= execute(transaction, unlink, params![plan.team_id, id])?;
        let remove = "DELETE FROM posthog_personalapikey
                      WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM embedded_project_key WHERE key_id = ?1)";
        execute(transaction, remove, params![id])?;
    }
    Ok(changed)
}

fn key_id(key: &DocumentKey) -> String {
    let digits = key.secure_value.rsplit('$').next().unwrap_or_default();
    digits.chars().take(KEY_ID_DIGITS).collect()
}

fn write_key(
    transaction: &Transaction<'_>,
    plan: &Plan<'_>,
    key: &DocumentKey,
    id: &str,
) -> rusqlite::Result<bool> {
    let user = key.user_id.to_string();
    let mut changed = execute(
        transaction,
        "INSERT INTO posthog_user (id, uuid, email) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        params![
            key.user_id,
            derived_uuid("user", &user),
            format!("user-{user}@import.invalid")
        ],
    )?;
    let membership = derived_uuid("membership", &format!("{user} {}", plan.organization_id));
    changed |= execute(
        transaction,
        "INSERT INTO posthog_organizationmembership (id, organization_id, user_id) VALUES (?1, ?2, ?3)
         ON CONFLICT DO NOTHING",
        params![membership, plan.organization_id, key.user_id],
    )?;
    let (scopes, teams) = (json(key.scopes.as_ref()), json(key.scoped_teams.as_ref()));
    let organizations = json(key.scoped_organizations.as_ref());
    let columns: [Column<'_>; 7] = [
        ("id", &id),
        ("user_id", &key.user_id),
        ("label", &key.label),
        ("secure_value", &key.secure_value),
        ("scopes", &scopes),
        ("scoped_teams", &teams),
        ("scoped_organizations", &organizations),
    ];
    changed |= upsert(transaction, "posthog_personalapikey", &["id"], &columns)?;
    let link: [Column<'_>; 2] = [("team_id", &plan.team_id), ("key_id", &id)];
    Ok(changed | upsert(transaction, "embedded_project_key", &["team_id", "key_id"], &link)?)
}

/// An array column as JSON text.
fn json<T: serde::Serialize>(array: Option<&Vec<T>>) -> Option<String> {
    array.map(|array| serde_json::to_value(array).unwrap_or_default().to_string())
}
