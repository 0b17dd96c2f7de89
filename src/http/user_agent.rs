//! Which software asks: SDK, runtime and library, from request headers (`http.md` 4.3).

use hyper::HeaderMap;
use hyper::header::{HeaderName, ORIGIN, REFERER, USER_AGENT};

use crate::engine::RequestRuntime;
use crate::quota::Library;

/// What the headers tell of the software that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserAgent<'h> {
    /// Where that software runs; `None` is unknown. An explicit `evaluation_runtime` overrides it.
    pub runtime: Option<RequestRuntime>,
    /// The library name for usage counting.
    pub library: Library,
    /// `lib` of the request log: the SDK's own name, or `web` for a browser.
    pub lib: Option<&'h str>,
    /// The SDK's version, for the log; its fallback is the `ver` query parameter.
    pub lib_version: Option<&'h str>,
}

const SDK_PREFIX: &str = "posthog-";
const BROWSER_MARKS: [&str; 5] = ["Mozilla/", "Chrome/", "Safari/", "Firefox/", "Edge/"];
const SERVER_MARKS: [&str; 2] = ["python-requests/", "curl/"];
/// Sent by browsers alone.
static FETCH_HEADERS: [HeaderName; 2] = [
    HeaderName::from_static("sec-fetch-mode"),
    HeaderName::from_static("sec-fetch-site"),
];

impl<'h> UserAgent<'h> {
    /// Reads `User-Agent` and the headers that only browsers send.
    #[must_use]
    pub fn of(headers: &'h HeaderMap) -> Self {
        let text = headers.get(&USER_AGENT).and_then(|value| value.to_str().ok());
        let mut agent = Self::of_text(text.unwrap_or_default());
        if agent.runtime.is_none() {
            let fetch = FETCH_HEADERS.iter().any(|name| headers.contains_key(name));
            if fetch || headers.contains_key(&ORIGIN) || headers.contains_key(&REFERER) {
                agent.runtime = Some(RequestRuntime::Client);
            }
            if fetch && agent.lib.is_none() {
                agent.library = Library::Js;
            }
        }
        agent
    }

    /// What the text of `User-Agent` alone says.
    fn of_text(text: &'h str) -> Self {
        let (runtime, library, lib, lib_version) = if let Some((name, version)) = sdk(text) {
            let (runtime, library) = known_sdk(&name[SDK_PREFIX.len()..]);
            (runtime, library, Some(name), Some(version))
        } else if BROWSER_MARKS.iter().any(|mark| text.contains(mark)) {
            let client = Some(RequestRuntime::Client);
            (client, Library::Js, Some("web"), None)
        } else if SERVER_MARKS.iter().any(|mark| text.contains(mark)) {
            (Some(RequestRuntime::Server), Library::Other, None, None)
        } else {
            (None, Library::Other, None, None)
        };
        Self {
            runtime,
            library,
            lib,
            lib_version,
        }
    }
}

/// Library and version, for the log; see [`UserAgent::lib`].
#[must_use]
pub fn library_of(text: &str) -> (Option<&str>, Option<&str>) {
    let agent = UserAgent::of_text(text);
    (agent.lib, agent.lib_version)
}

/// `posthog-<name>` and `<version>` of the form that all SDKs use.
fn sdk(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once('/')?;
    let named = name.strip_prefix(SDK_PREFIX)?;
    let version = rest.split(char::is_whitespace).next()?;
    (!named.is_empty() && !version.is_empty()).then_some((name, version))
}

fn known_sdk(name: &str) -> (Option<RequestRuntime>, Library) {
    let server = Some(RequestRuntime::Server);
    let client = Some(RequestRuntime::Client);
    match name {
        "python" => (server, Library::Python),
        "ruby" => (server, Library::Ruby),
        "php" => (server, Library::Php),
        "java" => (server, Library::Java),
        "go" => (server, Library::Go),
        "node" => (server, Library::Node),
        "dotnet" => (server, Library::Dotnet),
        "elixir" => (server, Library::Elixir),
        "rs" => (server, Library::Other),
        "server" => (server, Library::Server),
        "js" => (client, Library::Js),
        "android" => (client, Library::Android),
        "ios" => (client, Library::Ios),
        "react-native" => (client, Library::ReactNative),
        "flutter" => (client, Library::Flutter),
        _ => (None, Library::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    const CLIENT: Option<RequestRuntime> = Some(RequestRuntime::Client);
    const SERVER: Option<RequestRuntime> = Some(RequestRuntime::Server);

    fn headers(agent: &str, others: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("user-agent", HeaderValue::from_bytes(agent.as_bytes()).unwrap());
        for name in others {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
        }
        headers
    }

    #[track_caller]
    fn is(
        agent: &str,
        others: &[&'static str],
        runtime: Option<RequestRuntime>,
        library: &str,
        lib: Option<&str>,
    ) {
        let headers = headers(agent, others);
        let found = UserAgent::of(&headers);
        assert_eq!(
            (found.runtime, found.library.name(), found.lib),
            (runtime, library, lib),
            "{agent}"
        );
    }

    #[test]
    fn sdks_are_known_by_name() {
        for name in [
            "python", "ruby", "php", "java", "go", "node", "dotnet", "elixir", "server",
        ] {
            let lib = format!("posthog-{name}");
            is(
                &format!("{lib}/1.2.3 (Linux; x)"),
                &["origin"],
                SERVER,
                &lib,
                Some(&lib),
            );
        }
        for name in ["js", "android", "ios", "react-native", "flutter"] {
            let lib = format!("posthog-{name}");
            is(&format!("{lib}/1.2.3"), &[], CLIENT, &lib, Some(&lib));
        }
        is("posthog-rs/0.3", &[], SERVER, "other", Some("posthog-rs"));
    }

    #[test]
    fn other_sdks_are_judged_by_browser_headers() {
        is("posthog-edge/1", &[], None, "other", Some("posthog-edge"));
        is(
            "posthog-edge/1",
            &["sec-fetch-mode"],
            CLIENT,
            "other",
            Some("posthog-edge"),
        );
        is(
            "posthog-unity/1",
            &["referer"],
            CLIENT,
            "other",
            Some("posthog-unity"),
        );
    }

    #[test]
    fn the_version_ends_at_white_space() {
        let headers = headers("posthog-dotnet/2.8.4 (Linux)", &[]);
        assert_eq!(UserAgent::of(&headers).lib_version, Some("2.8.4"));
    }

    #[test]
    fn incomplete_forms_are_no_sdk() {
        for agent in [
            "posthog-python",
            "posthog-/1",
            "posthog-python/",
            "posthog-python/ 1",
            "x posthog-go/1",
        ] {
            is(agent, &[], None, "other", None);
        }
    }

    #[test]
    fn browsers_and_tools() {
        for agent in ["Mozilla/5.0 (X11)", "x Chrome/1", "Edge/12"] {
            is(agent, &[], CLIENT, "posthog-js", Some("web"));
        }
        is("python-requests/2.31", &["origin"], SERVER, "other", None);
        is("curl/8", &[], SERVER, "other", None);
    }

    #[test]
    fn an_sdk_goes_before_the_marks_of_a_browser() {
        is(
            "posthog-node/4 Mozilla/5.0",
            &[],
            SERVER,
            "posthog-node",
            Some("posthog-node"),
        );
    }

    #[test]
    fn anything_else_is_judged_by_headers() {
        is("okhttp/4", &[], None, "other", None);
        is("okhttp/4", &["origin"], CLIENT, "other", None);
        is("okhttp/4", &["sec-fetch-site"], CLIENT, "posthog-js", None);
        let none = UserAgent::of(&HeaderMap::new()).runtime;
        assert_eq!(none, None);
        is("caf\u{e9} Mozilla/5.0", &[], None, "other", None);
    }
}
