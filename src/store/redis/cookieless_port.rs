//! The port of cookieless identities over Redis.

use super::cookieless::{CookielessStore, SaltError};
use crate::context::cookieless::{CookielessStore as Port, CookielessStoreError, Salt};
use crate::hypercache::BoxFuture;

impl Port for CookielessStore {
    fn salt<'a>(&'a self, day: &'a str) -> BoxFuture<'a, Result<Salt, CookielessStoreError>> {
        Box::pin(async move {
            CookielessStore::salt(self, day)
                .await
                .map_err(|error| match error {
                    SaltError::Corrupt => CookielessStoreError::Corrupt(error.to_string()),
                    SaltError::Absent | SaltError::Redis(_) => {
                        CookielessStoreError::Unavailable(error.to_string())
                    }
                })
        })
    }

    fn identify_count<'a>(
        &'a self,
        team_id: i32,
        hash: &'a str,
    ) -> BoxFuture<'a, Result<u64, CookielessStoreError>> {
        Box::pin(async move {
            CookielessStore::identify_count(self, team_id, hash)
                .await
                .map_err(|error| CookielessStoreError::Unavailable(error.to_string()))
        })
    }
}
