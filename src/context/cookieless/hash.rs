//! The hash of an identity (`storage.md` 6.7 step 5).

use std::fmt::Write;
use std::net::IpAddr;

use base64_simd::STANDARD_NO_PAD;
use siphasher::sip128::SipHasher24;

/// The secret of a day.
pub type Salt = [u8; 16];

/// Longer extras are cut to this many characters.
const EXTRA_CHARS_MAX: usize = 100;

/// What is hashed, the count apart.
#[derive(Debug, Clone, Copy)]
pub struct HashInput<'a> {
    /// Owner.
    pub team_id: i32,
    /// The client's address.
    pub ip: IpAddr,
    /// See `root_domain`.
    pub root_domain: &'a str,
    /// As sent.
    pub user_agent: &'a str,
    /// As sent.
    pub extra: &'a str,
}

/// The 16 bytes of an identity; `count` is how many persons were identified under the hash with 0.
#[must_use]
pub fn cookieless_hash(salt: &Salt, input: &HashInput<'_>, count: u64) -> [u8; 16] {
    let HashInput {
        team_id,
        ip,
        root_domain,
        user_agent,
        extra,
    } = input;
    let extra = match extra.char_indices().nth(EXTRA_CHARS_MAX) {
        Some((end, _)) => extra.get(..end).unwrap_or(extra),
        None => extra,
    };
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write!(text, "{team_id}-{ip}-{root_domain}-{user_agent}-{count}-{extra}");
    let (first, second) = SipHasher24::new_with_key(salt).hash(text.as_bytes()).as_u64();
    // Halves in reverse order, and the 32-bit words of each half swapped.
    let mut bytes = [0; 16];
    let (front, back) = bytes.split_at_mut(8);
    front.copy_from_slice(&second.rotate_left(32).to_le_bytes());
    back.copy_from_slice(&first.rotate_left(32).to_le_bytes());
    bytes
}

/// Base64 without `=`.
#[must_use]
pub fn unpadded(hash: &[u8; 16]) -> String {
    STANDARD_NO_PAD.encode_to_string(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
    const BROWSER: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                           Chrome/58.0.3029.110 Safari/537.3";

    fn hash(team_id: i32, ip: &str, root_domain: &str, user_agent: &str, count: u64, extra: &str) -> String {
        let input = HashInput {
            team_id,
            ip: ip.parse().unwrap(),
            root_domain,
            user_agent,
            extra,
        };
        unpadded(&cookieless_hash(&SALT, &input, count))
    }

    #[test]
    fn hashes_are_those_of_the_specification() {
        let cases = [
            (1, "1.2.3.4", "example.com", BROWSER, 0, "jZfBjkLcdjlQTVmIKIhC3Q"),
            (1, "1.2.3.4", "example.com", BROWSER, 1, "igaaEDUIUxmCqAaPyFWP7Q"),
            (1, "1.2.3.4", "other.com", BROWSER, 0, "HSTgvTovdKSCZxOWE0fiOA"),
            (1, "5.6.7.8", "example.com", BROWSER, 0, "kmHSjAz71inr4axAIDUN1A"),
            (
                3000,
                "1.2.3.4",
                "example.com",
                BROWSER,
                0,
                "BiC9Zpcr2Ctyc6mvZh4+lg",
            ),
            (
                1,
                "1.2.3.4",
                "example.com",
                "Smart Fridge",
                0,
                "sjSJh5qV4gsbEAc2DG6w7g",
            ),
            (
                42,
                "203.0.113.9",
                "shop.example",
                "curl/8.5.0",
                0,
                "ag3eNBCWgGiIjRkDp/h2tA",
            ),
            (
                42,
                "203.0.113.9",
                "shop.example",
                "curl/8.5.0",
                3,
                "AXoSNqRDtlNiyN0xOSVpQA",
            ),
        ];
        for (team, ip, domain, agent, count, expected) in cases {
            assert_eq!(hash(team, ip, domain, agent, count, ""), expected);
        }
    }

    #[test]
    fn extras_count_up_to_a_hundred_characters() {
        let of = |extra: &str| hash(1, "1.2.3.4", "example.com", "agent", 0, extra);
        let hundred = "ü".repeat(100);
        assert_ne!(of(""), of(&hundred));
        assert_ne!(of(&"ü".repeat(99)), of(&hundred));
        assert_eq!(of(&hundred), of(&format!("{hundred}x")));
    }
}
