//! Results in the form that Django shares (`storage.md` 7.4). What is not of a known form is none: the database is asked.

use serde::Deserialize;

use super::port::{PersonalKeyRow, ProjectSecretRow};
use super::principal::Principal;

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Shared {
    Secret {
        team_id: i32,
        api_token: Option<String>,
    },
    ProjectSecret {
        team_id: i32,
        key_id: String,
        scopes: Option<Vec<String>>,
        api_token: Option<String>,
    },
    Personal {
        user_id: i32,
        key_id: String,
        org_ids: Vec<String>,
        #[serde(default)]
        scoped_teams: Option<Vec<i32>>,
        #[serde(default)]
        scoped_orgs: Option<Vec<String>>,
        // Without it a restricted key would pass for an unrestricted one: it has to be there, if only as null.
        #[serde(deserialize_with = "present")]
        scopes: Option<Vec<String>>,
    },
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    Option::deserialize(deserializer)
}

/// Whose the credential is. `None` for another form, and for one that leaves out what only the database can tell.
pub(super) fn parse(text: &[u8]) -> Option<Principal> {
    Some(match serde_json::from_slice(text).ok()? {
        Shared::Secret { team_id, api_token } => Principal::TeamSecret {
            team_id,
            api_token: api_token?,
        },
        Shared::ProjectSecret {
            team_id,
            key_id,
            scopes,
            api_token,
        } => Principal::ProjectSecret(ProjectSecretRow {
            key_id,
            team_id,
            api_token: api_token?,
            scopes,
        }),
        Shared::Personal {
            user_id,
            key_id,
            org_ids,
            scoped_teams,
            scoped_orgs,
            scopes,
        } => Principal::Personal(PersonalKeyRow {
            key_id,
            user_id,
            // Django deletes the entries of an owner who ceases to be.
            is_active: true,
            scopes,
            scoped_teams,
            scoped_organizations: scoped_orgs,
            organization_ids: org_ids,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_read() {
        let secret = br#"{"type": "secret", "team_id": 7, "api_token": "phc_a", "new": [1]}"#;
        assert_eq!(
            parse(secret),
            Some(Principal::TeamSecret {
                team_id: 7,
                api_token: "phc_a".to_owned()
            })
        );
        let project =
            br#"{"type": "project_secret", "team_id": 7, "key_id": "AbC", "scopes": ["feature_flag:read"],
            "api_token": "phc_a"}"#;
        assert!(matches!(parse(project), Some(Principal::ProjectSecret(key)) if key.key_id == "AbC"));
        let personal = br#"{"type": "personal", "user_id": 3, "key_id": "XyZ", "org_ids": ["o"],
            "scoped_teams": null, "scoped_orgs": null, "scopes": ["feature_flag:read"]}"#;
        assert!(matches!(parse(personal), Some(Principal::Personal(key))
            if key.is_active && key.organization_ids == ["o"] && key.scoped_teams.is_none()));
    }

    #[test]
    fn what_is_missing_or_foreign_is_none() {
        for text in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"type": "secret", "team_id": 7}"#,
            r#"{"type": "secret", "team_id": "7", "api_token": "phc_a"}"#,
            r#"{"type": "personal", "user_id": 3, "org_ids": [], "scopes": null}"#,
            r#"{"type": "personal", "user_id": 3, "key_id": "k", "org_ids": []}"#,
            r#"{"type": "galaxy", "team_id": 7}"#,
            "\u{80}\u{4}",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
