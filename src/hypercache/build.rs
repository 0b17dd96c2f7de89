//! Rows to the canonical texts of the four entries (`storage.md` 4).
//!
//! Pure: it knows neither where rows come from nor where texts go. One file an entry below `build/`.

mod config;
mod definitions;
mod dependency;
mod flag;
mod flags;
mod team;

use super::json::Json;

pub use config::{ConfigOptions, built_config, config_payload, is_replaceable};
pub use definitions::definitions_payload;
pub use flags::flags_payload;
pub use team::team_payload;

/// Largest column that is read as JSON, in bytes: PostgreSQL ends `jsonb` there.
const DOCUMENT_BYTES_MAX: usize = 256 << 20;

/// A JSON column. Text that is no JSON is kept as a JSON string, so that only what needs the column fails, at the reader.
pub(super) fn document(text: Option<&str>, bytes_max: usize) -> Json<'_> {
    text.map_or(Json::Null, |text| {
        Json::parse(text, bytes_max).unwrap_or_else(|_| Json::from(text))
    })
}
