//! One team's stored object, sanitised and cut into pieces (`http.md` 11.2).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::Recording;
use super::compact::push_compact;
use super::domains::{Caller, RecordingDomains};
use crate::engine::value::write_json_string;

/// Largest sanitised object that is served, in bytes: every answer carries it. Beyond it the object counts as unreadable.
pub const CONFIG_BYTES_MAX: usize = 4 << 20;

/// Members that never come from the stored object: the answer's own, and what no client may see.
const LEFT_OUT: [&str; 8] = [
    "siteAppsJS",
    "flags",
    "featureFlags",
    "featureFlagPayloads",
    "errorsWhileComputingFlags",
    "requestId",
    "evaluatedAt",
    "minimalFlagCalledEvents",
];

/// By name; of equal names the last one counts.
type Members<'t> = BTreeMap<String, &'t RawValue>;

/// Pieces of a team's config fields, ready to be copied.
#[derive(Debug)]
pub struct ConfigFragments {
    /// `,"name":value` of everything but session recording.
    members: Box<[u8]>,
    /// `,"sessionRecording":value`; empty when the object has none.
    recording: Box<[u8]>,
    /// `None`: anybody may record.
    domains: Option<RecordingDomains>,
    /// The stored `quotaLimited` names `feature_flags`.
    flags_limited: bool,
    /// `"name",` of its other names, `recordings` left out: whether that is limited is known better here.
    limited_others: Box<[u8]>,
}

impl ConfigFragments {
    /// Sanitises a stored object; `None` when the text is no JSON object, or too large a one.
    #[must_use]
    pub fn build(text: &str) -> Option<Self> {
        let stored: Members<'_> = serde_json::from_str(text).ok()?;
        let mut built = Self {
            members: Box::default(),
            recording: Box::default(),
            domains: None,
            flags_limited: false,
            limited_others: Box::default(),
        };
        let mut members = Vec::with_capacity(text.len());
        for (name, value) in stored {
            match name.as_str() {
                "sessionRecording" => built.session_recording(value),
                "quotaLimited" => built.quota_limited(value),
                left_out if LEFT_OUT.contains(&left_out) => {}
                _ => push_member(&name, value, &mut members),
            }
        }
        built.members = members.into();
        let bytes = built.members.len() + built.recording.len() + built.limited_others.len();
        (bytes <= CONFIG_BYTES_MAX).then_some(built)
    }

    /// Whether a caller may record sessions as far as the team's list of domains says.
    #[must_use]
    pub fn permit_recording<'h>(&self, caller: impl FnOnce() -> Caller<'h>) -> bool {
        match &self.domains {
            None => true,
            Some(domains) => domains.permit(&caller()),
        }
    }

    pub(super) fn write(&self, recording: Recording, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.members);
        out.extend_from_slice(match recording {
            Recording::AsStored => &self.recording,
            Recording::Refused | Recording::OverQuota => b",\"sessionRecording\":false",
        });
    }

    pub(super) fn flags_limited(&self) -> bool {
        self.flags_limited
    }

    pub(super) fn limited_others(&self) -> &[u8] {
        &self.limited_others
    }

    /// Heap bytes held.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.members.len()
            + self.recording.len()
            + self.limited_others.len()
            + self.domains.as_ref().map_or(0, RecordingDomains::heap_bytes)
    }

    /// An object loses its `domains`, which become rules; anything else is passed through.
    fn session_recording(&mut self, value: &RawValue) {
        let mut out = Vec::with_capacity(value.get().len() + 32);
        out.extend_from_slice(b",\"sessionRecording\":");
        match serde_json::from_str::<Members<'_>>(value.get()) {
            Ok(mut members) => {
                let domains = members.remove("domains");
                self.domains = domains.and_then(compile);
                let mut inner = Vec::with_capacity(value.get().len());
                for (name, value) in &members {
                    push_member(name, value, &mut inner);
                }
                out.push(b'{');
                out.extend_from_slice(inner.get(1..).unwrap_or_default());
                out.push(b'}');
            }
            Err(_) => push_compact(value.get(), &mut out),
        }
        self.recording = out.into();
    }

    fn quota_limited(&mut self, value: &RawValue) {
        let stored = serde_json::from_str::<Vec<&RawValue>>(value.get()).unwrap_or_default();
        let mut names = BTreeSet::from(["recordings".to_owned()]);
        let mut others = String::new();
        for name in stored {
            match serde_json::from_str::<String>(name.get()) {
                Ok(name) if name == "feature_flags" => self.flags_limited = true,
                Ok(name) if !names.contains(&name) => {
                    write_json_string(&name, &mut others);
                    others.push(',');
                    names.insert(name);
                }
                _ => {}
            }
        }
        self.limited_others = others.into_bytes().into();
    }
}

/// Rules of a list that is not empty. An element that is no text has no host; it still makes the list one that restricts.
fn compile(domains: &RawValue) -> Option<RecordingDomains> {
    let listed: Vec<&RawValue> = serde_json::from_str(domains.get()).ok()?;
    if listed.is_empty() {
        return None;
    }
    let urls: Vec<String> = listed
        .iter()
        .filter_map(|url| serde_json::from_str(url.get()).ok())
        .collect();
    Some(RecordingDomains::compile(urls.iter().map(String::as_str)))
}

/// Appends `,"name":value`.
fn push_member(name: &str, value: &RawValue, out: &mut Vec<u8>) {
    let mut quoted = String::with_capacity(name.len() + 4);
    quoted.push(',');
    write_json_string(name, &mut quoted);
    quoted.push(':');
    out.extend_from_slice(quoted.as_bytes());
    push_compact(value.get(), out);
}
