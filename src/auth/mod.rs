//! Credentials of `/flags/definitions`: whose they are, and whether they open a team (`http.md` 13.3, `storage.md` 7).
//!
//! `bearer.rs` reads the header; `authenticator.rs` finds out whose a credential is, once at a time, and remembers it for a
//! minute at most (`cache.rs`); `principal.rs` judges by what was found, with every request. Where keys are stored is behind
//! the ports; statuses are `http`'s.

mod authenticator;
mod bearer;
mod cache;
mod legacy;
mod port;
mod principal;
mod shared;

pub use crate::hypercache::DatabaseError;
pub use authenticator::{AuthSettings, AuthStores, Authenticator};
pub use bearer::Credential;
pub use cache::{CREDENTIAL_TTL_MAX, CredentialCache, KnownCredential};
pub use port::{
    AuthError, CredentialStore, KeyKind, KeyUses, PersonalKeyRow, PersonalRows, ProjectSecretRow,
    SecretOwner, SecretRows, SharedCredentials,
};
pub use principal::{Principal, Team};
