//! The entries of one team.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;

use super::{WarmFailure, WarmOptions, WarmSummary, Warmer};
use crate::hypercache::build::{
    built_config, config_payload, definitions_payload, flags_payload, is_replaceable, team_payload,
};
use crate::hypercache::json::Json;
use crate::hypercache::value::{self, DECOMPRESSED_BYTES_MAX, MISSING, Stored};
use crate::hypercache::{Entry, EntryKey, EntryWrite, MISSING_TTL, ProjectRows, TierError, etag};

/// An unchanged entry that lives longer than this is left alone: 1 day (`storage.md` 4.7).
const REMAINING_MIN: Duration = Duration::from_secs(86_400);

pub(super) struct TeamRun<'a> {
    warmer: &'a Warmer,
    team_id: i32,
    options: WarmOptions,
    summary: WarmSummary,
}

impl<'a> TeamRun<'a> {
    pub(super) fn new(warmer: &'a Warmer, team_id: i32, options: WarmOptions) -> Self {
        let summary = WarmSummary {
            teams: 1,
            ..WarmSummary::default()
        };
        Self {
            warmer,
            team_id,
            options,
            summary,
        }
    }

    pub(super) async fn run(mut self) -> WarmSummary {
        match self.warmer.database.project_rows(self.team_id).await {
            Err(error) => self.fail(None, &error),
            Ok(None) => self.missing().await,
            Ok(Some(rows)) => self.entries(&rows).await,
        }
        self.summary
    }

    fn fail(&mut self, entry: Option<Entry>, error: &dyn Display) {
        self.summary.fail(WarmFailure {
            team_id: Some(self.team_id),
            entry,
            error: error.to_string(),
        });
    }

    async fn entries(&mut self, rows: &ProjectRows) {
        let token = rows.team.api_token.as_str();
        self.write(&EntryKey::Flags(self.team_id), flags_payload(rows))
            .await;
        self.definitions(rows).await;
        self.write(&EntryKey::Team(token.into()), team_payload(&rows.team))
            .await;
        self.config(&EntryKey::Config(token.into()), rows).await;
    }

    /// Sentinels for what is kept by id; without a team there is no token to write others by.
    async fn missing(&mut self) {
        for key in [EntryKey::Flags(self.team_id), EntryKey::Definitions(self.team_id)] {
            if !self.options.dry_run {
                let write = EntryWrite {
                    payload: value::encode(MISSING, self.options.compression).into(),
                    etag: None,
                    ttl: MISSING_TTL,
                    tracked: false,
                };
                let written = async {
                    self.warmer.cache.put(&key, write).await?;
                    self.warmer.objects.delete(&key).await
                };
                if let Err(error) = written.await {
                    self.fail(Some(key.entry()), &error);
                    continue;
                }
            }
            self.summary.missing += 1;
        }
    }

    async fn definitions(&mut self, rows: &ProjectRows) {
        let key = EntryKey::Definitions(self.team_id);
        let project_id = rows.team.project_id.unwrap_or_else(|| self.team_id.into());
        let group_types = match self.warmer.database.project_group_types(project_id).await {
            Ok(group_types) => group_types,
            Err(error) => return self.fail(Some(key.entry()), &error),
        };
        // An empty mapping is how an outage of the persons database looks (`storage.md` 4.4).
        if group_types.is_empty() {
            match self.previous_has_mapping(&key).await {
                Ok(false) => {}
                Ok(true) => {
                    self.summary.withheld += 1;
                    return;
                }
                Err(error) => return self.fail(Some(key.entry()), &error),
            }
        }
        self.write(&key, definitions_payload(rows, &group_types)).await;
    }

    /// Whether the entry that is there names group types. One that cannot be read names none.
    async fn previous_has_mapping(&self, key: &EntryKey) -> Result<bool, TierError> {
        let text = match self.warmer.cache.get(key).await? {
            Some(stored) => stored_text(&stored),
            None => self.previous_object(key).await?,
        };
        let text = text.unwrap_or_default();
        let entry = Json::parse(&text, DECOMPRESSED_BYTES_MAX).ok();
        let mapping = entry.as_ref().and_then(|entry| entry.get("group_type_mapping"));
        Ok(matches!(mapping, Some(Json::Object(members)) if !members.is_empty()))
    }

    /// What Django last stored, or what the team's settings say; the latter never replaces an entry that has more.
    async fn config(&mut self, key: &EntryKey, rows: &ProjectRows) {
        if let Some(config) = config_payload(rows) {
            return self.write(key, config).await;
        }
        // Compared with the primary: a replica may lag behind what Django wrote just now.
        let previous = async {
            match self.warmer.cache.inspect(key).await? {
                Some(stored) => Ok(stored.mark.and_then(|stored| stored_text(&stored))),
                None => self.previous_object(key).await,
            }
        };
        match previous.await {
            Ok(Some(previous)) if !self.options.replace_config && !is_replaceable(&previous) => {
                self.summary.withheld += 1;
            }
            Ok(_) => self.write(key, built_config(rows, &self.warmer.config)).await,
            Err(error) => self.fail(Some(key.entry()), &error),
        }
    }

    /// The text of the entry in the second tier. `None`: none that anybody can read.
    async fn previous_object(&self, key: &EntryKey) -> Result<Option<String>, TierError> {
        let object = self.warmer.objects.get(key).await?;
        Ok(object.and_then(|object| String::from_utf8(object.into()).ok()))
    }

    /// First tier, then second.
    async fn write(&mut self, key: &EntryKey, text: String) {
        let written = async {
            if !self.options.force && self.is_unchanged(key, &text).await? {
                return Ok(false);
            }
            if self.options.dry_run {
                return Ok(true);
            }
            let compression = self.options.compression;
            let stored_etag = key.entry().has_etag().then(|| etag(&text));
            let write = EntryWrite {
                payload: value::encode(&text, compression).into(),
                etag: stored_etag.map(|etag| value::encode(&etag, compression).into()),
                ttl: key.entry().ttl(),
                tracked: true,
            };
            self.warmer.cache.put(key, write.clone()).await?;
            if let Err(error) = self.warmer.objects.put(key, Bytes::from(text)).await {
                // The tiers differ now. So short a life makes the next run write again, ours or Django's hourly one.
                let short = EntryWrite {
                    ttl: REMAINING_MIN,
                    ..write
                };
                let _ = self.warmer.cache.put(key, short).await;
                return Err(error);
            }
            Ok::<_, TierError>(true)
        };
        match written.await {
            Ok(true) => self.summary.written += 1,
            Ok(false) => self.summary.unchanged += 1,
            Err(error) => self.fail(Some(key.entry()), &error),
        }
    }

    /// By ETag; entries without one are compared as a whole.
    async fn is_unchanged(&self, key: &EntryKey, text: &str) -> Result<bool, TierError> {
        let Some(stored) = self.warmer.cache.inspect(key).await? else {
            return Ok(false);
        };
        if stored
            .remaining
            .is_some_and(|remaining| remaining <= REMAINING_MIN)
        {
            return Ok(false);
        }
        let wanted = if key.entry().has_etag() {
            etag(text)
        } else {
            text.to_owned()
        };
        let stored = stored.mark.and_then(|stored| stored_text(&stored));
        Ok(stored.is_some_and(|stored| stored == wanted))
    }
}

fn stored_text(stored: &[u8]) -> Option<String> {
    match value::decode(stored, DECOMPRESSED_BYTES_MAX) {
        Ok(Stored::Text(text)) => Some(text.into_owned()),
        _ => None,
    }
}
