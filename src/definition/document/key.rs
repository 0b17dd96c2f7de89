//! `personal_api_key`, `personal_api_keys`: only the hash of a key leaves this file.

use std::fmt::Write;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::notes::Notes;
use super::object::Object;
use super::parse::ids;
use super::path::Path;
use super::types::DocumentKey;

const LABEL_CHARS_MAX: usize = 40;
const SCOPE_CHARS_MAX: usize = 100;

/// Far beyond what is given out; only the hash is stored.
const VALUE_CHARS_MAX: usize = 1000;

pub(super) fn read(path: &Path<'_>, raw: &RawValue, notes: &mut Notes) -> Option<DocumentKey> {
    let mut object = Object::open(path, raw, notes)?;
    let value = object.required_text("value", VALUE_CHARS_MAX, notes);
    let user_id = object.required_integer("user_id", 1, i64::from(i32::MAX), notes);
    let label = object
        .text("label", LABEL_CHARS_MAX, notes)
        .unwrap_or_else(|| "Imported key".to_owned());
    let scopes = object.texts("scopes", SCOPE_CHARS_MAX, notes);
    if scopes.is_none() {
        notes.warn(
            &path.key("scopes"),
            "is not given: the key may do everything that its owner may",
        );
    }
    let teams = object.take("scoped_teams");
    let key = DocumentKey {
        path: path.to_string(),
        secure_value: secure_value(&value.unwrap_or_default()),
        label,
        scopes,
        user_id: i32::try_from(user_id.unwrap_or_default()).unwrap_or_default(),
        scoped_teams: teams.map(|raw| ids(&path.key("scoped_teams"), raw, notes)),
        scoped_organizations: object.texts("scoped_organizations", SCOPE_CHARS_MAX, notes),
    };
    object.finish(notes);
    Some(key)
}

/// The stored form of a key: `sha256$` and 64 hex digits (`storage.md` 7).
fn secure_value(value: &str) -> String {
    let mut stored = String::from("sha256$");
    for byte in Sha256::digest(value.as_bytes()) {
        // Writing to a String cannot fail.
        let _ = write!(stored, "{byte:02x}");
    }
    stored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_stored_as_sha256() {
        // printf %s phs_exampleSecretToken0001 | sha256sum
        let expected = "sha256$2a25dce6e7cd01190f98c0e369f7ccd58648baad277ce5dadd4ea66c4ceee59b";
        assert_eq!(secure_value("phs_exampleSecretToken0001"), expected);
    }
}
