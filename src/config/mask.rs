//! Values as they may be shown: a URL without its password, any other setting without what looks like a credential.

use super::secrets::secrets;

/// What stands for a password.
const HIDDEN: &str = "***";

/// Query parameters of database URLs that hold a secret.
const SECRET_PARAMETERS: &[&str] = &["password", "sslpassword", "passfile"];

/// Keeps scheme, user, host and path of a URL. Text that is no URL is hidden as a whole, and what is doubtful counts as part of
/// the password: an unescaped `@` in it must not show the rest.
#[must_use]
pub fn masked_url(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return HIDDEN.to_owned();
    };
    if !scheme
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    {
        return HIDDEN.to_owned();
    }
    let (user_info, place) = match rest.rsplit_once('@') {
        Some((user_info, place)) => (Some(user_info), place),
        None => (None, rest),
    };
    let (address, query) = match place.split_once('?') {
        Some((address, query)) => (address, Some(query)),
        None => (place, None),
    };
    let mut masked = format!("{scheme}://");
    match user_info.map(|user_info| user_info.split_once(':')) {
        None => {}
        Some(Some((user, _))) => masked.push_str(&format!("{user}:{HIDDEN}@")),
        Some(None) if is_database(scheme) => masked.push_str(&format!("{}@", user_info.unwrap_or_default())),
        // A lone name may be a token: hosted Redis servers and collectors are given so.
        Some(None) => masked.push_str(&format!("{HIDDEN}@")),
    }
    masked.push_str(address);
    for (at, parameter) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        masked.push(if at == 0 { '?' } else { '&' });
        let name = parameter.split('=').next().unwrap_or_default();
        let is_listed = SECRET_PARAMETERS
            .iter()
            .any(|secret| name.eq_ignore_ascii_case(secret));
        // Parameters of a database are known; those of anything else may be keys, whatever their names.
        if !parameter.contains('=') && !is_database(scheme) {
            masked.push_str(HIDDEN);
        } else if is_listed || !is_database(scheme) {
            masked.push_str(&format!("{name}={HIDDEN}"));
        } else {
            masked.push_str(parameter);
        }
    }
    masked
}

fn is_database(scheme: &str) -> bool {
    scheme.starts_with("postgres")
}

/// The value of a setting that is no credential by itself: without tokens, without what stands before `@`, without the query of
/// a URL, whether it has a scheme or not.
#[must_use]
pub fn shown_value(text: &str) -> String {
    let text = secrets(text.trim());
    let is_url = |scheme: &str| {
        scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    match text.split_once("://") {
        Some((scheme, _)) if is_url(scheme) => masked_url(&text),
        // A list or an object with URLs in it; which of its words are secret nobody knows.
        Some(_) => HIDDEN.to_owned(),
        None => {
            let place = text.rsplit_once('@').map_or(&*text, |(_, place)| place);
            let (address, query) = place.split_once('?').unwrap_or((place, ""));
            let user_info = if place.len() < text.len() { "***@" } else { "" };
            let query = if query.is_empty() { "" } else { "?***" };
            format!("{user_info}{address}{query}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{masked_url, shown_value};

    #[test]
    fn settings_are_shown_without_credentials() {
        for (value, shown) in [
            ("https://u:hunter2@h:4317", "https://***@h:4317"),
            (
                "https://h:4317/v1?api_key=hunter2&hunter2",
                "https://h:4317/v1?api_key=***&***",
            ),
            ("http://hunter2@h", "http://***@h"),
            ("u:hunter2@h:4317", "***@h:4317"),
            ("h:4317?api_key=hunter2", "h:4317?***"),
            ("http://u:hun@ter/hunter2@h", "http://***@h"),
            (r#"{"phc_hunter2": "1/s"}"#, r#"{"phc_***": "1/s"}"#),
            ("a=https://u:hunter2@h", "***"),
            ("127.0.0.1:3001", "127.0.0.1:3001"),
            ("/i/v0/e/", "/i/v0/e/"),
            ("", ""),
        ] {
            let actual = shown_value(value);
            assert!(!actual.contains("hunter2"), "{value}: {actual}");
            assert_eq!(actual, shown, "{value}");
        }
    }

    #[test]
    fn user_and_host_stay_and_the_password_goes() {
        for (url, masked) in [
            (
                "postgres://flags:hunter2@db:5432/posthog",
                "postgres://flags:***@db:5432/posthog",
            ),
            (
                "postgres://flags@db/posthog?sslmode=require",
                "postgres://flags@db/posthog?sslmode=require",
            ),
            (
                "postgres://db/p?user=u&password=hunter2",
                "postgres://db/p?user=u&password=***",
            ),
            ("redis://:hunter2@h:6379/1", "redis://:***@h:6379/1"),
            ("rediss://default:hunter2@h/", "rediss://default:***@h/"),
            ("redis://hunter2@h/", "redis://***@h/"),
            ("redis://h/", "redis://h/"),
            ("", ""),
        ] {
            assert_eq!(masked_url(url), masked, "{url}");
        }
    }

    #[test]
    fn doubtful_text_shows_no_part_of_a_password() {
        for url in [
            "hunter2",
            "postgres:hunter2@h",
            "postgres://u:hun@hunter2@h/db",
            "postgres://u:x?hunter2@h/db",
            "postgres://u:x/hunter2@h/db",
            "redis://u:x#hunter2@h",
        ] {
            assert!(!masked_url(url).contains("hunter2"), "{url}: {}", masked_url(url));
        }
    }
}
