//! The config fields that `config=true` adds (`http.md` 11).
//!
//! What a team's stored object holds is settled once, when the team is loaded ([`ConfigFragments`]); a request decides
//! only whether its page may be recorded, and copies slices. Where the object comes from is not known here.

mod compact;
mod domains;
mod fragments;
#[cfg(test)]
mod tests;

pub use domains::{Caller, RecordingDomains};
pub use fragments::{CONFIG_BYTES_MAX, ConfigFragments};

/// The config fields of one answer.
#[derive(Debug, Clone, Copy)]
pub enum ConfigPart<'a> {
    /// Not asked for: none of them.
    Off,
    /// The team has no usable object: the constants of `http.md` 11.3.
    Fallback,
    /// The team's object.
    Of {
        /// Its pieces.
        fragments: &'a ConfigFragments,
        /// What becomes of `sessionRecording`.
        recording: Recording,
    },
}

/// Whether an answer lets its caller record sessions (`http.md` 11.2 steps 3 and 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// As the team has set it.
    AsStored,
    /// Off: the page is not of a listed domain.
    Refused,
    /// Off: the project is over its recordings quota, and the answer says so.
    OverQuota,
}

impl ConfigPart<'_> {
    /// Appends the fields, each with a leading comma. `has_flags`: the answer's flag map is not empty, which is what the
    /// fallback says of itself; a stored object speaks for the team.
    pub(super) fn write(&self, has_flags: bool, out: &mut Vec<u8>) {
        match self {
            Self::Off => {}
            Self::Fallback => write_fallback(has_flags, out),
            Self::Of { fragments, recording } => fragments.write(*recording, out),
        }
    }
}

/// Appends the one `quotaLimited` of an answer, `feature_flags` first, unless nothing is limited (`http.md` 11.2, H27).
pub(super) fn write_quota_limited(flags_limited: bool, config: &ConfigPart<'_>, out: &mut Vec<u8>) {
    const OPEN: &[u8] = b",\"quotaLimited\":[";
    let of_config = match config {
        ConfigPart::Of { fragments, recording } => Some((*fragments, *recording)),
        ConfigPart::Off | ConfigPart::Fallback => None,
    };
    if !flags_limited && of_config.is_none() {
        return;
    }
    let start = out.len();
    out.extend_from_slice(OPEN);
    if flags_limited || of_config.is_some_and(|(fragments, _)| fragments.flags_limited()) {
        out.extend_from_slice(b"\"feature_flags\",");
    }
    if let Some((fragments, recording)) = of_config {
        out.extend_from_slice(fragments.limited_others());
        if recording == Recording::OverQuota {
            out.extend_from_slice(b"\"recordings\",");
        }
    }
    if out.len() == start + OPEN.len() {
        out.truncate(start);
    } else if let Some(last) = out.last_mut() {
        // Every name brought a comma behind it; the last one's closes the list.
        *last = b']';
    }
}

fn write_fallback(has_flags: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"hasFeatureFlags\":");
    out.extend_from_slice(if has_flags { b"true" } else { b"false" });
    out.extend_from_slice(
        b",\"supportedCompression\":[\"gzip\",\"gzip-js\"],\"sessionRecording\":false,\"surveys\":false,\
          \"heatmaps\":false,\"capturePerformance\":false,\"autocaptureExceptions\":false,\
          \"isAuthenticated\":false,\"toolbarParams\":{},\"config\":{\"enable_collect_everything\":true}",
    );
}
