//! Query and headers: those that mean something, tokens hashed, nothing else that could be a secret.

use std::collections::BTreeMap;

use super::super::{Captured, KeyedHash};
use crate::telemetry::log::secrets;

/// Parameters that an answer can depend on, or that say which client it was (`http.md` 3.1).
const PARAMETERS: [&str; 11] = [
    "v",
    "version",
    "compression",
    "ver",
    "lib_version",
    "_",
    "sent_at",
    "config",
    "only_evaluate_survey_feature_flags",
    "lib",
    "retry_count",
];

/// Of a parameter's value: longer ones mean nothing to anybody.
const VALUE_BYTES_MAX: usize = 64;

/// The query with tokens hashed and without parameters that mean nothing.
pub(super) fn query(query: &str, hash: &KeyedHash) -> String {
    let mut out = String::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = match name {
            "token" | "api_key" if !value.is_empty() => hash.token(&decoded(value)),
            _ if PARAMETERS.contains(&name) && is_plain(value) => value.to_owned(),
            _ => continue,
        };
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(name);
        if pair.contains('=') {
            out.push('=');
            out.push_str(&value);
        }
    }
    out
}

fn decoded(value: &str) -> String {
    crate::wire::percent::decode_query(value).into_owned()
}

/// A version, a number, a word: not somebody's token or address.
fn is_plain(value: &str) -> bool {
    value.len() <= VALUE_BYTES_MAX
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+'))
        && secrets(value) == value
}

/// The headers as they may stand in the file. Credentials never stand there in the clear.
pub(super) fn headers(captured: &Captured, redacts: bool, hash: &KeyedHash) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (name, value) in &captured.headers {
        let value = match &**name {
            // Only a project token means anything here (`http.md` 7.1).
            "authorization" => match value
                .strip_prefix("Bearer ")
                .filter(|key| key.starts_with("phc_"))
            {
                Some(token) => format!("Bearer {}", hash.token(token)),
                None => continue,
            },
            _ if !redacts => value.to_string(),
            "x-posthog-project-api-key" => hash.token(value),
            "referer" => origin_of(value).to_owned(),
            _ => secrets(value).into_owned(),
        };
        out.entry(name.to_string()).or_insert(value);
    }
    out
}

/// Scheme and host of a URL: its path and query may say who somebody is.
fn origin_of(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let rest = url.get(host..).unwrap_or_default();
    let length = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let end = if rest.get(..length).is_some_and(|host| host.contains('@')) {
        0
    } else {
        host + length
    };
    url.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_lose_what_means_nothing() {
        let hash = KeyedHash::of(b"k");
        let token = hash.token("phc_a b");
        assert_eq!(
            query(
                "v=2&config&token=phc_a%20b&email=x%40y&ver=phc_secret&lib=web&ip=1",
                &hash
            ),
            format!("v=2&config&token={token}&lib=web")
        );
        assert_eq!(query("email=a", &hash), "");
    }

    #[test]
    fn pages_are_cut_to_their_origin() {
        for (url, origin) in [
            ("https://shop.test/cart?email=x", "https://shop.test"),
            ("https://shop.test", "https://shop.test"),
            ("https://u:p@shop.test/", ""),
            ("nothing", "nothing"),
            ("a/b", "a"),
        ] {
            assert_eq!(origin_of(url), origin);
        }
    }
}
