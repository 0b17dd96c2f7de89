//! What follows from the settings for whoever replays a recording or passes it on.

use crate::config::{RecorderSettings, Redaction};

/// Sentences for the header of the file and for the log.
pub(super) fn warnings(settings: &RecorderSettings) -> Vec<String> {
    let mut warnings = Vec::new();
    match settings.redaction {
        Redaction::None => {
            warnings.push("nothing is hidden: bodies are recorded as they were sent, project tokens included");
        }
        Redaction::Tokens => warnings.push(
            "only project tokens are hidden: ids and property values are recorded as they were sent",
        ),
        Redaction::Unused => warnings.push(
            "recorded as they were sent, because answers depend on them: distinct ids, other ids that some flag is rolled out by, \
             and values of properties that some flag looks at; the last line names them",
        ),
        Redaction::All => warnings.push(
            "ids and values that answers depend on are changed, so that answers differ from those that were given; two servers can still \
             be compared, but not operators on real values; the last line names what was changed",
        ),
    }
    if settings.client_address {
        warnings.push("addresses of clients are recorded");
    }
    warnings.into_iter().map(str::to_owned).collect()
}
