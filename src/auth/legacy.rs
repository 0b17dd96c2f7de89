//! Hashes of personal keys in older databases: PBKDF2 with a fixed salt (`storage.md` 7.3).

use std::num::NonZeroU32;

use ring::pbkdf2::{PBKDF2_HMAC_SHA256, derive};

const SALT: &str = "posthog_personal_api_key";

/// Both that were ever in use.
const ITERATIONS: [u32; 2] = [260_000, 390_000];

/// Every stored form that the key can have there. A tenth of a second of CPU each: for a blocking thread.
pub(super) fn stored_forms(value: &str) -> Vec<String> {
    let forms = ITERATIONS.into_iter().filter_map(|iterations| {
        let mut hash = [0; 32];
        derive(
            PBKDF2_HMAC_SHA256,
            NonZeroU32::new(iterations)?,
            SALT.as_bytes(),
            value.as_bytes(),
            &mut hash,
        );
        let hash = base64_simd::STANDARD.encode_to_string(hash);
        Some(format!("pbkdf2_sha256${iterations}${SALT}${hash}"))
    });
    forms.collect()
}
