//! Identities that a document leaves out, derived so that a re-import finds them again.

use sha2::{Digest, Sha256};

/// A UUID that depends on nothing but its arguments.
pub(super) fn derived_uuid(kind: &str, identity: &str) -> String {
    let digest = Sha256::new()
        .chain_update(kind)
        .chain_update("\0")
        .chain_update(identity)
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes)
        .into_uuid()
        .hyphenated()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::derived_uuid;

    #[test]
    fn kind_and_identity_both_count() {
        assert_eq!(derived_uuid("team", "a"), derived_uuid("team", "a"));
        assert_ne!(derived_uuid("team", "a"), derived_uuid("person", "a"));
        assert_ne!(derived_uuid("team", "a"), derived_uuid("team", "b"));
        assert_ne!(derived_uuid("ab", "c"), derived_uuid("a", "bc"));
    }
}
