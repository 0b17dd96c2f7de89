//! Definitions of many teams, all different, as text of the entries that the service reads.

#![allow(dead_code, reason = "each test binary uses a part")]

use feature_flags::definition::{RawProject, RawTeam};
use feature_flags::hypercache::parse::parse_flags;
use serde_json::{Value, json};

/// What the flags of a team are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Mixed like a real project.
    Mixed,
    /// Rollouts alone.
    Plain,
    /// Every flag with a pattern of its own.
    Patterns,
    /// Long lists of values.
    Lists,
    /// Variants with payloads.
    Variants,
    /// Every flag through cohorts of cohorts.
    Cohorts,
    /// Every flag depends on the one before it.
    Dependent,
}

/// All kinds.
pub const KINDS: [Kind; 7] = [
    Kind::Mixed,
    Kind::Plain,
    Kind::Patterns,
    Kind::Lists,
    Kind::Variants,
    Kind::Cohorts,
    Kind::Dependent,
];

/// Kinds of which the mixed one is made, by position of the flag.
const MIX: [Kind; 10] = [
    Kind::Plain,
    Kind::Lists,
    Kind::Variants,
    Kind::Plain,
    Kind::Patterns,
    Kind::Plain,
    Kind::Cohorts,
    Kind::Variants,
    Kind::Plain,
    Kind::Dependent,
];

/// A team's project token.
pub fn token(team: i32) -> String {
    format!("phc_team_{team:07}_of_many_with_a_long_token")
}

/// `flags.json` of a team.
pub fn flags_text(team: i32, flags: usize, kind: Kind) -> String {
    let flags: Vec<Value> = (0..flags).map(|at| flag(team, at, kind)).collect();
    let cohorts: Vec<Value> = (0..8).map(|at| cohort(team, at)).collect();
    json!({ "flags": flags, "cohorts": cohorts }).to_string()
}

/// What a load makes of a team's text.
pub fn project(team: i32, text: &str) -> RawProject {
    let parsed = parse_flags(text).expect("the text is an entry");
    assert!(parsed.malformed_flags.is_empty());
    RawProject {
        team: RawTeam {
            id: team,
            project_id: i64::from(team),
            api_token: token(team),
            timezone: "UTC".to_owned(),
            ..RawTeam::default()
        },
        flags: parsed.flags,
        cohorts: parsed.cohorts.unwrap_or_default(),
        ..RawProject::default()
    }
}

fn id(team: i32, at: usize) -> i64 {
    i64::from(team) * 1000 + at as i64
}

fn flag(team: i32, at: usize, kind: Kind) -> Value {
    let own = match kind {
        Kind::Mixed => MIX[at % MIX.len()],
        own => own,
    };
    let property = |key: String, operator: &str, value: Value| json!({ "key": key, "type": "person", "operator": operator, "value": value });
    let properties = match own {
        Kind::Mixed | Kind::Plain | Kind::Variants => vec![],
        Kind::Patterns => vec![property(
            format!("email-{}", at % 7),
            "regex",
            json!(format!(
                "^(staff|team-{team}-{at})[a-z0-9.]*@example\\.(com|org)$"
            )),
        )],
        Kind::Lists => {
            let values: Vec<String> = (0..20).map(|n| format!("value-{team}-{at}-{n}")).collect();
            vec![
                property(format!("plan-{}", at % 5), "exact", json!(values)),
                property(format!("seats-{at}"), "gt", json!(at)),
            ]
        }
        Kind::Cohorts => {
            vec![json!({ "key": "id", "type": "cohort", "operator": "in", "value": id(team, at % 8) })]
        }
        Kind::Dependent if at == 0 => vec![],
        Kind::Dependent => vec![json!({ "key": id(team, at - 1).to_string(), "type": "flag",
            "operator": "flag_evaluates_to", "value": true })],
    };
    let mut filters = json!({ "groups": [{ "properties": properties, "rollout_percentage": 10 + at % 90 }] });
    if own == Kind::Variants {
        filters["multivariate"] = json!({ "variants": [
            { "key": "control", "rollout_percentage": 50 }, { "key": format!("test-{team}"), "rollout_percentage": 50 }] });
        let payload = json!({ "title": format!("Team {team}, flag {at}"), "columns": at }).to_string();
        filters["payloads"] = json!({ "control": payload, format!("test-{team}"): payload });
    }
    json!({ "id": id(team, at), "team_id": team, "key": format!("team-{team}-area-{}-feature-{at:03}", at / 10),
        "name": "", "active": true, "deleted": false, "version": 1 + at, "filters": filters })
}

/// Every second one looks at the one before it.
fn cohort(team: i32, at: usize) -> Value {
    let leaf = if at % 2 == 1 {
        json!({ "key": "id", "type": "cohort", "value": id(team, at - 1) })
    } else {
        json!({ "key": format!("cohort-property-{at}"), "type": "person", "operator": "icontains",
            "value": format!("text-{team}-{at}") })
    };
    json!({ "id": id(team, at), "team_id": team, "name": "", "deleted": false, "is_static": false,
        "is_calculating": false, "errors_calculating": 0, "groups": [],
        "filters": { "properties": { "type": "OR", "values": [{ "type": "AND", "values": [leaf] }] } } })
}
