//! Salts of a process that shares them with nobody: random, in memory. Ids do not outlive the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::context::cookieless::{CookielessStore, CookielessStoreError, Salt};
use crate::snapshot::BoxFuture;

/// Days whose salt is held. Callers ask for four at most; the oldest goes first.
const DAYS_MAX: usize = 8;

/// Makes a salt for each day; nobody is ever identified here.
#[derive(Debug, Default)]
pub struct EmbeddedCookieless {
    salts: Mutex<BTreeMap<String, Salt>>,
}

impl CookielessStore for EmbeddedCookieless {
    fn salt<'a>(&'a self, day: &'a str) -> BoxFuture<'a, Result<Salt, CookielessStoreError>> {
        let mut salts = self.salts.lock().unwrap_or_else(PoisonError::into_inner);
        if !salts.contains_key(day) && salts.len() == DAYS_MAX {
            salts.pop_first();
        }
        // Of its 128 bits six are fixed: what is left cannot be guessed either.
        let made = || uuid::Uuid::new_v4().into_bytes();
        let salt = *salts.entry(day.to_owned()).or_insert_with(made);
        Box::pin(std::future::ready(Ok(salt)))
    }

    fn identify_count<'a>(
        &'a self,
        _team_id: i32,
        _hash: &'a str,
    ) -> BoxFuture<'a, Result<u64, CookielessStoreError>> {
        Box::pin(std::future::ready(Ok(0)))
    }
}
