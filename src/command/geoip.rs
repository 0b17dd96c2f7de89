//! Opens the location database that the settings name (`decisions.md` 16).

use std::sync::Arc;

use feature_flags::config::Config;
use feature_flags::context::geo::GeoSource;
use feature_flags::store::geoip::{GeoDatabase, GeoOpenError};
use feature_flags::telemetry::log;

use super::Failure;

const VARIABLE: &str = "MAXMIND_DB_PATH";

/// The database, or `None` when there is to be none: the variable is empty, or nothing is at its default.
///
/// # Errors
/// When a file that was asked for is absent, or any file that is there cannot be used.
pub fn open(config: &Config) -> Result<Option<Arc<dyn GeoSource>>, Failure> {
    let Some(path) = config.evaluation.geoip_path.as_deref() else {
        return Ok(None);
    };
    match GeoDatabase::open(path) {
        Ok(database) => Ok(Some(Arc::new(database))),
        Err(GeoOpenError::Absent) if !config.is_set(VARIABLE) => {
            log::warn(format_args!(
                "no location database at {}: requests get no $geoip_ properties \
                 ({VARIABLE} names another file, empty: none)",
                path.display()
            ));
            Ok(None)
        }
        Err(error) => Err(Failure::context(
            format_args!("{VARIABLE}: {}", path.display()),
            error,
        )),
    }
}
