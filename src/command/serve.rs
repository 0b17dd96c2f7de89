//! `serve`: connected storage, which this version does not have.

use feature_flags::config::{DatabaseSettings, ObjectStorageSettings, RedisSettings};

/// What is missing, and which variables it would read.
pub fn explanation() -> String {
    let mut text = String::from(
        "feature-flags: serve needs PostgreSQL, Redis and S3, and connected storage is not built into this \
         version.\nUse 'feature-flags dev --store FILE' to serve from one SQLite file.\n\
         It would read these variables:\n",
    );
    let stores = [
        DatabaseSettings::VARIABLES,
        RedisSettings::VARIABLES,
        ObjectStorageSettings::VARIABLES,
    ];
    for variable in stores.into_iter().flatten() {
        text.push_str("  ");
        text.push_str(variable.name);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_variables_of_every_store_are_named() {
        let text = super::explanation();
        for name in ["WRITE_DATABASE_URL", "REDIS_URL", "OBJECT_STORAGE_BUCKET"] {
            assert!(text.contains(name), "{name}");
        }
    }
}
