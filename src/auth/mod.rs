//! Credentials to a team: who may read a project's definitions (`http.md` 13.3, `storage.md` 7).
