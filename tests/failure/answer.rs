//! An answer and what the matrix says of it.

use std::time::Duration;

use serde_json::Value;

use crate::client;
use crate::report::{bound, row};

/// Parsed once; every assertion shows all of it.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub text: String,
    pub json: Value,
    pub took: Duration,
}

fn first_sentence(text: &str) -> &str {
    let sentence = text.split('.').next().unwrap_or_default();
    sentence.get(..60).unwrap_or(sentence)
}

impl Answer {
    pub fn new(answer: &client::Answer, took: Duration) -> Self {
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        Self {
            status: answer.status,
            json: serde_json::from_str(&text).unwrap_or_default(),
            text,
            took,
        }
    }

    fn flag(&self, key: &str) -> &Value {
        &self.json["flags"][key]
    }

    pub fn is_on(&self, key: &str) -> bool {
        self.flag(key)["enabled"] == true
    }

    /// Why a flag is what it is; empty when it is not there.
    pub fn reason(&self, key: &str) -> &str {
        self.flag(key)["reason"]["code"].as_str().unwrap_or_default()
    }

    /// Which tier the definitions are from.
    pub fn tier(&self) -> Option<&str> {
        let flags = self.json["flags"].as_object()?;
        flags.keys().find_map(|key| key.strip_prefix("from_"))
    }

    pub fn has_errors(&self) -> bool {
        self.json["errorsWhileComputingFlags"] == true
    }

    /// Notes the row, and holds it to three times the promised time.
    pub fn row(self, situation: &str, promise: Duration) -> Self {
        let said = match (self.status, self.tier(), self.has_errors()) {
            (200, Some(tier), false) => format!("200 complete, from {tier}"),
            (200, Some(tier), true) => format!("200 degraded, from {tier}: {}", self.failures()),
            (200, None, _) if self.json.is_object() => "200 without its tier's flag".to_owned(),
            (status, _, _) => match self.json["detail"].as_str() {
                Some(detail) => format!("{status} {}", first_sentence(detail)),
                None => format!("{status} {}", first_sentence(&self.text)),
            },
        };
        row(situation, &said, self.took);
        assert!(
            self.took <= bound(promise),
            "{situation}: {:?} for {promise:?}",
            self.took
        );
        self
    }

    fn failures(&self) -> String {
        let flags = self.json["flags"].as_object().into_iter().flatten();
        let failed = flags.filter(|(_, flag)| flag["failed"] == true);
        let mut reasons: Vec<_> = failed
            .filter_map(|(_, flag)| flag["reason"]["code"].as_str())
            .collect();
        reasons.sort_unstable();
        reasons.dedup();
        reasons.join(", ")
    }

    /// 200, no errors, everything evaluated, from this tier.
    #[track_caller]
    pub fn complete(self, tier: &str) -> Self {
        assert_eq!((self.status, self.tier()), (200, Some(tier)), "{self:?}");
        assert!(!self.has_errors(), "{self:?}");
        for key in ["always", "person", "dependent"] {
            assert!(self.is_on(key), "{key}: {self:?}");
        }
        self
    }

    /// The tier of an answer that has to be whole whichever it is: while definitions move from one to another.
    #[track_caller]
    pub fn complete_from_any(self) -> String {
        let tier = self.tier().unwrap_or_else(|| panic!("{self:?}")).to_owned();
        self.complete(&tier);
        tier
    }

    /// 200 with the errors flag; flags that need nothing stored are right, and these failed with these reasons.
    #[track_caller]
    pub fn degraded(self, failed: &[(&str, &str)]) -> Self {
        assert_eq!((self.status, self.has_errors()), (200, true), "{self:?}");
        for (key, reason) in failed {
            assert!(
                !self.is_on(key) && self.reason(key).starts_with(reason),
                "{key} {reason}: {self:?}"
            );
            assert_eq!(self.flag(key)["failed"], true, "{key}: {self:?}");
        }
        for key in ["always", "dependent"] {
            assert!(self.is_on(key), "{key}: {self:?}");
        }
        self
    }

    /// A refusal whose text says this.
    #[track_caller]
    pub fn refused(self, status: u16, says: &str) -> Self {
        assert!(
            self.status == status && self.text.contains(says),
            "{status} {says}: {self:?}"
        );
        self
    }
}
