//! What authentication asks of stores.

use std::fmt;

use bytes::Bytes;

use crate::hypercache::{BoxFuture, DatabaseError};

/// A team by one of its secrets (T2).
#[derive(Clone, PartialEq, Eq)]
pub struct SecretOwner {
    /// `posthog_team.id`.
    pub team_id: i32,
    /// Project token.
    pub api_token: String,
    /// As stored.
    pub secret: Option<String>,
    /// As stored.
    pub backup: Option<String>,
}

impl fmt::Debug for SecretOwner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SecretOwner({})", self.team_id)
    }
}

/// `posthog_projectsecretapikey` (K2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectSecretRow {
    /// Row id.
    pub key_id: String,
    /// Its team.
    pub team_id: i32,
    /// That team's project token.
    pub api_token: String,
    /// `None`: unrestricted.
    pub scopes: Option<Vec<String>>,
}

/// `posthog_personalapikey` with its owner (K1). Scopes and restrictions are not judged by the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonalKeyRow {
    /// Row id.
    pub key_id: String,
    /// Owner.
    pub user_id: i32,
    /// Whether the owner may do anything at all.
    pub is_active: bool,
    /// `None`: unrestricted.
    pub scopes: Option<Vec<String>>,
    /// `None`: unrestricted.
    pub scoped_teams: Option<Vec<i32>>,
    /// Text form; `None`: unrestricted.
    pub scoped_organizations: Option<Vec<String>>,
    /// Organisations that the owner is a member of, text form.
    pub organization_ids: Vec<String>,
}

/// What belongs to a `phs_` credential.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretRows {
    /// Comes first.
    pub team: Option<SecretOwner>,
    /// Only looked at when no team has the secret.
    pub key: Option<ProjectSecretRow>,
}

/// What belongs to any other credential.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonalRows {
    /// Comes first.
    pub key: Option<PersonalKeyRow>,
    /// A team that has the credential as a secret, whatever it begins with.
    pub team: Option<SecretOwner>,
}

/// Keys and secrets. Absence is definite; everything else is an error.
pub trait CredentialStore: Send + Sync {
    /// The team that has this secret, and the project key of this hash, in one round trip.
    fn secret<'a>(
        &'a self,
        value: &'a str,
        hash: &'a str,
    ) -> BoxFuture<'a, Result<SecretRows, DatabaseError>>;

    /// The personal key of one of these hashes and, unless `value` is `None`, the team that has it as a secret, in one round
    /// trip.
    fn personal<'a>(
        &'a self,
        hashes: &'a [String],
        value: Option<&'a str>,
    ) -> BoxFuture<'a, Result<PersonalRows, DatabaseError>>;
}

/// Results that Django and other services share (`storage.md` 7.4). Read only: a write of ours could come after the deletion
/// that a revocation makes, and would bring the key back for a month.
pub trait SharedCredentials: Send + Sync {
    /// The result under a hash; `None` for absence and for failure, since the database knows too.
    fn get<'a>(&'a self, hash: &'a str) -> BoxFuture<'a, Option<Bytes>>;
}

/// Which table a key is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// `posthog_personalapikey`.
    Personal,
    /// `posthog_projectsecretapikey`.
    ProjectSecret,
}

/// Notes that keys are in use (`storage.md` 7.5).
pub trait KeyUses: Send + Sync {
    /// Notes it, at most once an hour among all processes. The error is for whoever wants to try again.
    fn used<'a>(&'a self, kind: KeyKind, key_id: &'a str) -> BoxFuture<'a, Result<(), DatabaseError>>;
}

/// Why a credential does not open a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthError {
    /// A secret that nobody has, or another team.
    SecretInvalid,
    /// Any other credential that nobody has or that is not for this team.
    PersonalKeyInvalid,
    /// A key that would do, with a scope.
    LacksScope,
    /// Too many credentials that were never seen are being looked up. Says nothing of this one.
    Busy,
    /// No store gave an answer. Says nothing of the credential.
    Store(DatabaseError),
}

impl fmt::Display for AuthError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SecretInvalid => formatter.write_str("secret is not valid here"),
            Self::PersonalKeyInvalid => formatter.write_str("personal API key is not valid here"),
            Self::LacksScope => formatter.write_str("key lacks the scope"),
            Self::Busy => formatter.write_str("too many credentials are being looked up"),
            Self::Store(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for AuthError {}
