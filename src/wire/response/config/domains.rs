//! Which pages may be recorded (`http.md` 11.4).
//!
//! Rules are compiled from the listed URLs at load. A request's host is cut out of its headers by hand and lower-cased on
//! the stack: no allocation.

/// Longer names are no host names (RFC 1035 allows 255 octets).
const HOST_BYTES_MAX: usize = 255;

/// Wildcards of a team that are looked at: one may cost some 65,000 steps against a name made for it.
const PATTERNS_MAX: usize = 200;

/// Mobile SDKs have no page; what they record is the application itself.
const MOBILE_SDKS: [&str; 4] = ["android", "ios", "react-native", "flutter"];
const SDK_PREFIX: &str = "posthog-";

/// Who asks, by the headers that count. A header that is not visible ASCII counts as absent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Caller<'h> {
    /// `Origin`.
    pub origin: Option<&'h str>,
    /// `Referer`.
    pub referer: Option<&'h str>,
    /// `User-Agent`.
    pub user_agent: Option<&'h str>,
}

/// The hosts that a team has listed. A list is never empty: an empty one restricts nobody and has no rules.
#[derive(Debug)]
pub struct RecordingDomains {
    /// Lower case, sorted.
    hosts: Box<[Box<str>]>,
    /// Lower case, with `*` for any run of characters.
    patterns: Box<[Box<str>]>,
}

impl RecordingDomains {
    /// Compiles the listed URLs. One without a scheme has no host and never matches, as anything else that is no URL. The
    /// first 200 with a `*` count, and any number without.
    pub fn compile<'d>(urls: impl Iterator<Item = &'d str>) -> Self {
        let hosts = urls
            .filter_map(|url| host_of(url.trim()))
            .filter(|host| host.len() <= HOST_BYTES_MAX);
        let hosts = hosts.map(|host| host.to_ascii_lowercase().into_boxed_str());
        let (mut patterns, mut hosts): (Vec<_>, Vec<_>) = hosts.partition(|host| host.contains('*'));
        patterns.truncate(PATTERNS_MAX);
        hosts.sort_unstable();
        hosts.dedup();
        Self {
            hosts: hosts.into(),
            patterns: patterns.into(),
        }
    }

    /// Whether this caller may record: a page of a listed host, or a mobile SDK.
    #[must_use]
    pub fn permit(&self, caller: &Caller<'_>) -> bool {
        let is_listed = |url: Option<&str>| url.and_then(host_of).is_some_and(|host| self.lists(host));
        is_listed(caller.origin) || is_listed(caller.referer) || caller.user_agent.is_some_and(is_mobile_sdk)
    }

    fn lists(&self, host: &str) -> bool {
        let mut buffer = [0; HOST_BYTES_MAX];
        let Some(lower) = buffer.get_mut(..host.len()) else {
            return false;
        };
        lower.copy_from_slice(host.as_bytes());
        lower.make_ascii_lowercase();
        let found = self.hosts.binary_search_by(|listed| listed.as_bytes().cmp(lower));
        found.is_ok()
            || self
                .patterns
                .iter()
                .any(|pattern| matches(pattern.as_bytes(), lower))
    }

    /// Heap bytes held.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let lists = [&self.hosts, &self.patterns];
        lists
            .into_iter()
            .map(|list| size_of_val(&**list) + list.iter().map(|host| host.len()).sum::<usize>())
            .sum()
    }
}

fn is_mobile_sdk(user_agent: &str) -> bool {
    user_agent.match_indices(SDK_PREFIX).any(|(at, prefix)| {
        let name = user_agent.get(at + prefix.len()..).unwrap_or_default();
        MOBILE_SDKS.iter().any(|sdk| name.starts_with(sdk))
    })
}

/// The host of a URL: what stands between the scheme (with the user's name, if any) and the port or path.
fn host_of(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let mut letters = scheme.bytes();
    if !letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        || !letters.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    {
        return None;
    }
    let authority = rest.split(['/', '\\', '?', '#']).next()?;
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let host = match place.starts_with('[') {
        true => place.get(..=place.find(']')?)?,
        false => place.split(':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

/// Whether the whole text fits a pattern in which `*` stands for any run of bytes. At most pattern times text steps.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    // Behind the last star, and where the text that it stands for ends so far.
    let mut retry: Option<(usize, usize)> = None;
    while from < text.len() {
        match (pattern.get(at), text.get(from)) {
            (Some(b'*'), _) => {
                at += 1;
                retry = Some((at, from));
            }
            (Some(wanted), Some(found)) if wanted == found => {
                at += 1;
                from += 1;
            }
            _ => {
                let Some((behind, end)) = retry else {
                    return false;
                };
                retry = Some((behind, end + 1));
                (at, from) = (behind, end + 1);
            }
        }
    }
    pattern.iter().skip(at).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(listed: &[&str], url: &str) -> bool {
        let domains = RecordingDomains::compile(listed.iter().copied());
        let of = |origin, referer| Caller {
            origin,
            referer,
            user_agent: Some("Mozilla/5.0"),
        };
        let by_origin = domains.permit(&of(Some(url), None));
        assert_eq!(by_origin, domains.permit(&of(Some("null"), Some(url))), "{url}");
        by_origin
    }

    #[test]
    fn hosts_are_compared_without_scheme_port_and_path() {
        let listed = [
            "https://shop.example",
            "http://Localhost:8000/app?x=1#y",
            "https://user:pw@own.example",
        ];
        for url in [
            "https://shop.example",
            "http://shop.example",
            "https://shop.example:8443",
            "https://SHOP.example/cart/1?from=https://other.test",
            "https://shop.example?x",
            "http://localhost:3000",
            "https://own.example/",
            "capacitor://localhost",
            "https://a@b@shop.example",
        ] {
            assert!(permits(&listed, url), "{url}");
        }
        for url in [
            "https://www.shop.example",
            "https://shop.example.evil.test",
            "https://evil.test/https://shop.example",
            "https://shop.example@evil.test",
            "shop.example",
            "//shop.example",
            "://shop.example",
            "1x://shop.example",
            "null",
            "",
            "https://",
            "https://:80",
        ] {
            assert!(!permits(&listed, url), "{url}");
        }
    }

    #[test]
    fn a_star_stands_for_any_run_and_the_whole_host_must_match() {
        let listed = ["https://*.shop.example"];
        for (url, expected) in [
            ("https://eu.shop.example", true),
            ("https://a.b.shop.example:1", true),
            ("https://.shop.example", true),
            ("https://shop.example", false),
            ("https://eu.shop.example.evil.test", false),
            ("https://eushop.example", false),
        ] {
            assert_eq!(permits(&listed, url), expected, "{url}");
        }
        assert!(permits(&["https://*"], "https://anything.test"));
        assert!(permits(
            &["https://pr-*-*.preview.test"],
            "https://pr-12-ab-c.preview.test"
        ));
        assert!(!permits(
            &["https://pr-*-*.preview.test"],
            "https://pr-12.preview.test"
        ));
        assert!(permits(&["https://a*b*"], "https://ab"));
        // A dot is a dot, and the rest of a regular expression is text.
        assert!(!permits(&["https://*.shop.example"], "https://xshopXexample"));
        assert!(!permits(&["https://.+"], "https://shop.example"));
    }

    #[test]
    fn entries_without_a_scheme_never_match() {
        for listed in [
            "shop.example",
            "*.shop.example",
            "*",
            "",
            "://shop.example",
            "*://shop.example",
        ] {
            assert!(!permits(&[listed], "https://shop.example"), "{listed}");
        }
        assert!(permits(&[" https://shop.example "], "https://shop.example"));
    }

    #[test]
    fn addresses_keep_their_brackets() {
        assert!(permits(&["http://[::1]:8000"], "http://[::1]:3000/x"));
        assert!(permits(&["http://127.0.0.1"], "http://127.0.0.1:3000"));
        assert!(!permits(&["http://[::1"], "http://[::1"));
    }

    #[test]
    fn mobile_sdks_are_permitted_wherever_they_run() {
        let domains = RecordingDomains::compile(["https://shop.example"].into_iter());
        for (user_agent, expected) in [
            ("posthog-android/3.1", true),
            ("posthog-ios/1", true),
            ("App/1 (posthog-react-native/4)", true),
            ("posthog-js posthog-flutter", true),
            ("posthog-js/1", false),
            ("posthog-", false),
            ("Posthog-ios/1", false),
            ("", false),
        ] {
            let caller = Caller {
                user_agent: Some(user_agent),
                ..Caller::default()
            };
            assert_eq!(domains.permit(&caller), expected, "{user_agent}");
        }
        assert!(!domains.permit(&Caller::default()), "neither header");
    }

    #[test]
    fn hostile_hosts_and_patterns_end() {
        let pattern = format!("https://{}b", "*a".repeat(100));
        assert!(!permits(&[&pattern], &format!("https://{}", "a".repeat(255))));
        assert!(permits(&["https://*"], &format!("https://{}", "a".repeat(255))));
        assert!(
            !permits(&["https://*"], &format!("https://{}", "a".repeat(256))),
            "no host name"
        );
        for url in [
            "https://[",
            "https://]",
            "https://@",
            "https://[]:",
            "http://\\",
            "://",
            "a://b:c:d@[e]",
        ] {
            permits(&[url, "https://*"], url);
        }
    }
}
