//! Interim.
use super::{ContinuityReadFrom, GatherError, PersonSource};
/// Interim: replaced by the full protocol.
pub async fn continuity_rows(
    source: &dyn PersonSource,
    team_id: i32,
    ids: (&str, Option<&str>),
    _skip_writes: bool,
) -> Result<Vec<(String, String)>, GatherError> {
    let both = [ids.0, ids.1.unwrap_or(ids.0)];
    let targets = if ids.1.is_some() { &both[..] } else { &both[..1] };
    source
        .read_continuity(team_id, targets, ContinuityReadFrom::Reader)
        .await
}
