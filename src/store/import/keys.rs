//! Personal API keys, and the user, organization membership and link rows that they need.

use std::collections::HashSet;

use super::identity::derived_uuid;
use super::plan::Plan;
use super::port::{Cell, Part, Rows};
use super::rows::{ensure, execute, texts, upsert};
use crate::definition::document::DocumentKey;

/// Hex digits of the hash that make a key's row id: as unlikely to collide as a random one.
const KEY_ID_DIGITS: usize = 32;

/// Replaces the keys that earlier documents of this team brought. A key that another team's document
/// brought too stays for that team.
pub(super) fn write<R: Rows>(rows: &mut R, plan: &Plan<'_>) -> Result<bool, R::Error> {
    let links = rows.key_links()?;
    let mut changed = false;
    let mut wanted: HashSet<String> = HashSet::new();
    for key in &plan.document.personal_api_keys {
        let id = key_id(key);
        changed |= write_key(rows, plan, key, &id, links)?;
        wanted.insert(id);
    }
    let sql = format!("SELECT key_id FROM {links} WHERE team_id = ?1");
    let linked = texts(rows, Part::Main, &sql, &[plan.team_id.into()])?;
    for id in linked.iter().filter(|id| !wanted.contains(*id)) {
        let unlink = format!("DELETE FROM {links} WHERE team_id = ?1 AND key_id = ?2");
        changed |= execute(rows, Part::Main, &unlink, &[plan.team_id.into(), id.into()])?;
        let remove = format!(
            "DELETE FROM posthog_personalapikey
             WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM {links} WHERE key_id = ?1)"
        );
        execute(rows, Part::Main, &remove, &[id.into()])?;
    }
    Ok(changed)
}

fn key_id(key: &DocumentKey) -> String {
    let digits = key.secure_value.rsplit('$').next().unwrap_or_default();
    digits.chars().take(KEY_ID_DIGITS).collect()
}

fn write_key<R: Rows>(
    rows: &mut R,
    plan: &Plan<'_>,
    key: &DocumentKey,
    id: &str,
    links: &'static str,
) -> Result<bool, R::Error> {
    let user = key.user_id.to_string();
    let columns = vec![
        ("id", key.user_id.into()),
        ("uuid", derived_uuid("user", &user).into()),
        ("email", format!("user-{user}@import.invalid").into()),
    ];
    let mut changed = ensure(rows, "posthog_user", &["id"], columns)?;
    let membership = derived_uuid("membership", &format!("{user} {}", plan.organization_id));
    let columns = vec![
        ("id", membership.into()),
        ("organization_id", (&plan.organization_id).into()),
        ("user_id", key.user_id.into()),
    ];
    let keys = ["organization_id", "user_id"];
    changed |= ensure(rows, "posthog_organizationmembership", &keys, columns)?;
    // The same key may be there without an import; then it stays when the document leaves it out.
    let sql = "SELECT id FROM posthog_personalapikey WHERE secure_value = ?1";
    let stored = texts(rows, Part::Main, sql, &[(&key.secure_value).into()])?.pop();
    let foreign = stored.filter(|stored| stored != id);
    let columns = vec![
        ("id", foreign.as_deref().unwrap_or(id).into()),
        ("user_id", key.user_id.into()),
        ("label", (&key.label).into()),
        ("secure_value", (&key.secure_value).into()),
        ("scopes", json(key.scopes.as_ref())),
        ("scoped_teams", json(key.scoped_teams.as_ref())),
        ("scoped_organizations", json(key.scoped_organizations.as_ref())),
    ];
    changed |= upsert(rows, "posthog_personalapikey", &["id"], columns)?;
    if foreign.is_some() {
        return Ok(changed);
    }
    let link = vec![("team_id", plan.team_id.into()), ("key_id", id.into())];
    Ok(changed | ensure(rows, links, &["team_id", "key_id"], link)?)
}

/// An array column as JSON text.
fn json<T: serde::Serialize>(array: Option<&Vec<T>>) -> Cell {
    array.map_or(Cell::Null, |array| {
        serde_json::to_value(array).unwrap_or_default().to_string().into()
    })
}
