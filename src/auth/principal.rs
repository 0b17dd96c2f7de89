//! Whose a credential is, and whether that opens a team (`storage.md` 7.2, 7.3). Judged with every request: what is remembered
//! is the facts, not the verdict.

use subtle::ConstantTimeEq;

use super::port::{AuthError, KeyKind, PersonalKeyRow, ProjectSecretRow, SecretOwner};

/// Any of these opens definitions.
const SCOPES: [&str; 3] = ["*", "feature_flag:read", "feature_flag:write"];

/// The team that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Team<'t> {
    /// `posthog_team.id`.
    pub id: i32,
    /// Text form; `None`: none is known, and membership is not asked for.
    pub organization_id: Option<&'t str>,
}

/// Whose a credential is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A team, by its secret or its backup.
    TeamSecret {
        /// The team.
        team_id: i32,
        /// Its project token.
        api_token: String,
    },
    /// A team, by a key of its project.
    ProjectSecret(ProjectSecretRow),
    /// A person.
    Personal(PersonalKeyRow),
}

impl Principal {
    /// The owner of a secret, if it really has it: the index of a database is no judge of equality, and the comparison takes
    /// the same time wherever two secrets differ.
    pub(super) fn of_secret(owner: SecretOwner, value: &str) -> Option<Self> {
        let same = |stored: &Option<String>| {
            let stored = stored.as_deref().unwrap_or_default();
            !stored.is_empty() & bool::from(stored.as_bytes().ct_eq(value.as_bytes()))
        };
        (same(&owner.secret) | same(&owner.backup)).then_some(Self::TeamSecret {
            team_id: owner.team_id,
            api_token: owner.api_token,
        })
    }

    /// The project token that the credential itself names; a person's key names none.
    #[must_use]
    pub fn project_token(&self) -> Option<&str> {
        match self {
            Self::TeamSecret { api_token, .. } => Some(api_token),
            Self::ProjectSecret(key) => Some(&key.api_token),
            Self::Personal(_) => None,
        }
    }

    /// The key whose use is noted; a team's own secret has no such row.
    #[must_use]
    pub fn key(&self) -> Option<(KeyKind, &str)> {
        match self {
            Self::TeamSecret { .. } => None,
            Self::ProjectSecret(key) => Some((KeyKind::ProjectSecret, &key.key_id)),
            Self::Personal(key) => Some((KeyKind::Personal, &key.key_id)),
        }
    }

    /// Whether it opens the team.
    ///
    /// # Errors
    /// With the reason. A key without the scope is told so only where the scope alone is missing.
    pub fn opens(&self, team: Team<'_>) -> Result<(), AuthError> {
        match self {
            Self::TeamSecret { team_id, .. } if *team_id == team.id => Ok(()),
            Self::ProjectSecret(key) if key.team_id == team.id && has_scope(key.scopes.as_deref()) => Ok(()),
            Self::TeamSecret { .. } | Self::ProjectSecret(_) => Err(AuthError::SecretInvalid),
            Self::Personal(key) => personal(key, team),
        }
    }
}

fn personal(key: &PersonalKeyRow, team: Team<'_>) -> Result<(), AuthError> {
    let teams = key.scoped_teams.as_deref().unwrap_or_default();
    if !key.is_active || !(teams.is_empty() || teams.contains(&team.id)) {
        return Err(AuthError::PersonalKeyInvalid);
    }
    if let Some(organization) = team.organization_id {
        let has = |list: &[String]| list.iter().any(|one| one.eq_ignore_ascii_case(organization));
        let scoped = key.scoped_organizations.as_deref().unwrap_or_default();
        if !(scoped.is_empty() || has(scoped)) || !has(&key.organization_ids) {
            return Err(AuthError::PersonalKeyInvalid);
        }
    }
    if has_scope(key.scopes.as_deref()) {
        Ok(())
    } else {
        Err(AuthError::LacksScope)
    }
}

/// No list is an old, unrestricted key; an empty one has no scope (`decisions.md` 18).
fn has_scope(scopes: Option<&[String]>) -> bool {
    scopes.is_none_or(|scopes| scopes.iter().any(|scope| SCOPES.contains(&scope.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEAM: Team<'_> = Team {
        id: 7,
        organization_id: Some("0191aaaa-0000-7000-8000-000000000001"),
    };

    fn key() -> PersonalKeyRow {
        PersonalKeyRow {
            key_id: "k".to_owned(),
            user_id: 3,
            is_active: true,
            scopes: Some(vec!["feature_flag:read".to_owned()]),
            organization_ids: vec!["0191AAAA-0000-7000-8000-000000000001".to_owned()],
            ..PersonalKeyRow::default()
        }
    }

    fn judge(change: impl FnOnce(&mut PersonalKeyRow)) -> Result<(), AuthError> {
        let mut key = key();
        change(&mut key);
        Principal::Personal(key).opens(TEAM)
    }

    fn list(items: &[&str]) -> Option<Vec<String>> {
        Some(items.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_personal_key_is_judged_by_every_restriction() {
        let other = "0191bbbb-0000-7000-8000-000000000002";
        let own = "0191aaaa-0000-7000-8000-000000000001";
        assert_eq!(judge(|_| ()), Ok(()));
        for scopes in [
            None,
            list(&["*"]),
            list(&["feature_flag:write"]),
            list(&["x", "feature_flag:read"]),
        ] {
            assert_eq!(judge(|key| key.scopes = scopes.clone()), Ok(()), "{scopes:?}");
        }
        for scopes in [list(&[]), list(&["feature_flag"]), list(&["person:read"])] {
            let judged = judge(|key| key.scopes = scopes.clone());
            assert_eq!(judged, Err(AuthError::LacksScope), "{scopes:?}");
        }
        let invalid = Err(AuthError::PersonalKeyInvalid);
        assert_eq!(judge(|key| key.is_active = false), invalid);
        assert_eq!(judge(|key| key.scoped_teams = Some(vec![8])), invalid);
        assert_eq!(judge(|key| key.scoped_teams = Some(vec![8, 7])), Ok(()));
        assert_eq!(judge(|key| key.scoped_teams = Some(Vec::new())), Ok(()));
        assert_eq!(judge(|key| key.scoped_organizations = list(&[other])), invalid);
        assert_eq!(
            judge(|key| key.scoped_organizations = list(&[other, own])),
            Ok(())
        );
        assert_eq!(judge(|key| key.scoped_organizations = list(&[])), Ok(()));
        assert_eq!(
            judge(|key| key.organization_ids = list(&[other]).unwrap()),
            invalid
        );
        // Restricted to the organisation, and not a member of it.
        let judged = judge(|key| {
            key.scoped_organizations = list(&[own]);
            key.organization_ids.clear();
        });
        assert_eq!(judged, invalid);
        // Where the key has no business at all, its scopes are not spoken of.
        let judged = judge(|key| {
            key.scopes = list(&[]);
            key.scoped_teams = Some(vec![8]);
        });
        assert_eq!(judged, invalid);
        let without_organization = Team {
            organization_id: None,
            ..TEAM
        };
        let mut stranger = key();
        stranger.organization_ids.clear();
        assert_eq!(Principal::Personal(stranger).opens(without_organization), Ok(()));
    }

    #[test]
    fn a_secret_is_compared_as_a_whole() {
        let owner = |secret: Option<&str>, backup: Option<&str>| SecretOwner {
            team_id: 7,
            api_token: "phc_a".to_owned(),
            secret: secret.map(str::to_owned),
            backup: backup.map(str::to_owned),
        };
        let has = |owner, value| Principal::of_secret(owner, value).is_some();
        assert!(has(owner(Some("phs_a"), None), "phs_a"));
        assert!(has(owner(Some("phs_b"), Some("phs_a")), "phs_a"));
        assert!(!has(owner(Some("phs_A"), Some("phs_ab")), "phs_a"));
        assert!(!has(owner(None, None), ""));
        assert!(!has(owner(Some(""), Some("")), ""));
        let secret = Principal::of_secret(owner(Some("phs_a"), None), "phs_a").unwrap();
        assert_eq!(secret.opens(TEAM), Ok(()));
        assert_eq!(
            secret.opens(Team { id: 8, ..TEAM }),
            Err(AuthError::SecretInvalid)
        );
    }
}
