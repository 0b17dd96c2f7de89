//! The definitions of a team as each tier has them, and the people that its flags are about.

use feature_flags::hypercache::EntryKey;
use feature_flags::hypercache::value::{Compression, encode};
use serde_json::{Value, json};

/// Organisation and project of every team here.
pub const OWNERS: &str = "
    INSERT INTO posthog_organization (id, name) VALUES ('0191aaaa-0000-7000-8000-000000000001', 'Acme');
    INSERT INTO posthog_project (id, organization_id, name) VALUES (1, '0191aaaa-0000-7000-8000-000000000001', 'Shop');
    INSERT INTO posthog_person (id, team_id, uuid, properties)
        SELECT 1, t, gen_random_uuid(), '{\"plan\": \"pro\"}' FROM generate_series(1, 99) AS t;
    INSERT INTO posthog_persondistinctid (team_id, distinct_id, person_id)
        SELECT t, 'ada', 1 FROM generate_series(1, 99) AS t;
    INSERT INTO posthog_group (team_id, group_type_index, group_key, group_properties)
        SELECT t, 0, 'acme', '{\"tier\": \"gold\"}' FROM generate_series(1, 99) AS t;";

/// A team; ids up to 99 have the person `ada` and the group `acme`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Team(pub i32);

impl Team {
    pub fn token(self) -> String {
        format!("phc_failure_{}", self.0)
    }

    pub fn team_key(self) -> EntryKey {
        EntryKey::Team(self.token().into())
    }

    pub fn flags_key(self) -> EntryKey {
        EntryKey::Flags(self.0)
    }

    pub fn config_key(self) -> EntryKey {
        EntryKey::Config(self.token().into())
    }

    /// Text of the team's entry.
    pub fn metadata(self) -> String {
        json!({
            "id": self.0, "project_id": self.0, "organization_id": null, "name": "Shop",
            "uuid": format!("0191aaaa-0000-7000-8000-{:012}", self.0), "api_token": self.token(), "timezone": "UTC",
            "cookieless_server_hash_mode": if self == COOKIELESS { 1 } else { 0 }
        })
        .to_string()
    }

    /// Flags as the tier has them, with one named after it.
    pub fn flags(self, tier: &str) -> Vec<Value> {
        let id = self.0 * 100;
        let dependency = json!({ "key": (id + 1).to_string(), "type": "flag", "value": true, "operator": "flag_evaluates_to" });
        let person = json!({ "key": "plan", "type": "person", "value": "pro", "operator": "exact" });
        vec![
            flag(self, 1, "always", json!({ "groups": [{ "properties": [] }] })),
            flag(
                self,
                2,
                "person",
                json!({ "groups": [{ "properties": [person] }] }),
            ),
            flag(
                self,
                3,
                "dependent",
                json!({ "groups": [{ "properties": [dependency] }] }),
            ),
            flag(
                self,
                4,
                &format!("from_{tier}"),
                json!({ "groups": [{ "properties": [] }] }),
            ),
        ]
    }

    /// The flags entry of a tier.
    pub fn entry(self, tier: &str) -> Value {
        self.entry_with(tier, &[])
    }

    /// The same with more flags.
    pub fn entry_with(self, tier: &str, more: &[Value]) -> Value {
        let id = self.0 * 100;
        let mut flags = self.flags(tier);
        flags.extend_from_slice(more);
        let mut first = vec![id + 1, id + 2, id + 4];
        first.extend(
            more.iter()
                .filter_map(|flag| i32::try_from(flag["id"].as_i64()?).ok()),
        );
        entry(&flags, &json!([first, [id + 3]]))
    }
}

/// The team in cookieless mode.
pub const COOKIELESS: Team = Team(90);

/// A flag, active, with these filters.
pub fn flag(team: Team, number: i32, key: &str, filters: Value) -> Value {
    json!({
        "id": team.0 * 100 + number, "team_id": team.0, "name": "", "key": key, "filters": filters, "deleted": false,
        "active": true, "ensure_experience_continuity": key == "continuity", "version": 1
    })
}

/// A flag for everyone whose bucketing decides: what experience continuity is for.
pub fn continuity(team: Team) -> Value {
    flag(
        team,
        5,
        "continuity",
        json!({ "groups": [{ "properties": [], "rollout_percentage": 50 }] }),
    )
}

/// A flag on the group `acme`.
pub fn group(team: Team) -> Value {
    let gold = json!({ "key": "tier", "type": "group", "group_type_index": 0, "value": "gold", "operator": "exact" });
    flag(
        team,
        6,
        "group",
        json!({ "groups": [{ "properties": [gold] }], "aggregation_group_type_index": 0 }),
    )
}

/// A flag on cohort 500 of its team, which has everyone on the plan `pro`.
pub fn cohort(team: Team) -> Value {
    let member = json!({ "key": "id", "type": "cohort", "value": 500, "operator": "in" });
    flag(
        team,
        7,
        "cohort",
        json!({ "groups": [{ "properties": [member] }] }),
    )
}

/// The document of `flags.json`, without cohorts.
fn entry(flags: &[Value], stages: &Value) -> Value {
    let closures: Value = flags
        .iter()
        .map(|flag| {
            let id = flag["id"].as_i64().unwrap_or_default();
            let closure = if flag["key"] == "dependent" {
                vec![id - 2]
            } else {
                vec![]
            };
            (id.to_string(), json!(closure))
        })
        .collect::<serde_json::Map<_, _>>()
        .into();
    json!({
        "flags": flags, "cohorts": [],
        "evaluation_metadata": {
            "dependency_stages": stages, "flags_with_missing_deps": [], "transitive_deps": closures
        }
    })
}

/// As it is stored in Redis.
pub fn stored(text: &str) -> Vec<u8> {
    encode(text, Compression::Zstd)
}
