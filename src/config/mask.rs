//! Credentials as they may be shown: a URL without its password.

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
        // A lone name may be a token: hosted Redis servers are given so.
        Some(None) if scheme.starts_with("redis") => masked.push_str(&format!("{HIDDEN}@")),
        Some(None) => masked.push_str(&format!("{}@", user_info.unwrap_or_default())),
    }
    masked.push_str(address);
    for (at, parameter) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        masked.push(if at == 0 { '?' } else { '&' });
        let name = parameter.split('=').next().unwrap_or_default();
        if SECRET_PARAMETERS
            .iter()
            .any(|secret| name.eq_ignore_ascii_case(secret))
        {
            masked.push_str(&format!("{name}={HIDDEN}"));
        } else {
            masked.push_str(parameter);
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::masked_url;

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
