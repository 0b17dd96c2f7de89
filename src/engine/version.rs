//! Versions and version ranges (`evaluation.md` 12.8).

use semver::{BuildMetadata, Prerelease, Version, VersionReq};

/// Reads a version leniently: one leading `v` dropped, trimmed, front padded to three parts, leading
/// zeros stripped; then strict Semantic Versioning. Allocates only for long suffixes.
#[must_use]
pub fn parse_version(text: &str) -> Option<Version> {
    let text = trim(text);
    let front_end = text.find(['-', '+']).unwrap_or(text.len());
    let (front, tail) = text.split_at(front_end);
    let mut parts = [0u64; 3];
    for (count, part) in front.split('.').enumerate() {
        if count == 3 || part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        parts[count] = part.parse().ok()?;
    }
    let (pre, build) = match tail.split_once('+') {
        Some((pre, build)) => (pre, Some(build)),
        None => (tail, None),
    };
    let pre = match pre.strip_prefix('-') {
        Some("") => return None,
        Some(pre) => Prerelease::new(pre).ok()?,
        None => Prerelease::EMPTY,
    };
    let build = match build {
        Some("") => return None,
        Some(build) => BuildMetadata::new(build).ok()?,
        None => BuildMetadata::EMPTY,
    };
    Some(Version {
        major: parts[0],
        minor: parts[1],
        patch: parts[2],
        pre,
        build,
    })
}

/// The range of `semver_tilde` (`~`) or `semver_caret` (`^`): the operator before the canonical version.
#[must_use]
pub fn parse_range(operator: char, text: &str) -> Option<VersionReq> {
    VersionReq::parse(&format!("{operator}{}", parse_version(text)?)).ok()
}

/// The requirement of `semver_wildcard`: zeros stripped part by part, not padded.
#[must_use]
pub fn parse_wildcard(text: &str) -> Option<VersionReq> {
    let text = trim(text);
    let front_end = text.find(['-', '+']).unwrap_or(text.len());
    let (front, tail) = text.split_at(front_end);
    let parts: Vec<&str> = front.split('.').map(strip_zeros).collect();
    VersionReq::parse(&format!("{}{tail}", parts.join("."))).ok()
}

fn trim(text: &str) -> &str {
    text.strip_prefix('v').unwrap_or(text).trim()
}

fn strip_zeros(part: &str) -> &str {
    if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return part;
    }
    match part.trim_start_matches('0') {
        "" => "0",
        stripped => stripped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lenient_forms() {
        let version = |text| parse_version(text).map(|version| version.to_string());
        assert_eq!(version("v1.2").as_deref(), Some("1.2.0"));
        assert_eq!(version("3.08").as_deref(), Some("3.8.0"));
        assert_eq!(version("1.2.3-rc.1+b7").as_deref(), Some("1.2.3-rc.1+b7"));
        for bad in [
            "1.2.3.4", "V1.2.3", " v1.2.3", "latest", "", "1..2", "1.2.3-", "1.2.3+", "1.2.3-01",
        ] {
            assert_eq!(version(bad), None, "{bad}");
        }
    }

    #[test]
    fn wildcards() {
        assert!(parse_wildcard("3.08.*").is_some_and(|range| range.matches(&Version::new(3, 8, 1))));
        assert!(parse_wildcard("1.*.3").is_none());
        assert!(parse_wildcard("v1.2.*").is_some_and(|range| range.matches(&Version::new(1, 2, 5))));
    }
}
