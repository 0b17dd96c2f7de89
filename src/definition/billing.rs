//! Which flags are billed (`storage.md` 11): all but those that surveys and product tours make for themselves.

/// Keys with these prefixes belong to other products.
const FREE_PREFIXES: [&str; 2] = ["survey-targeting-", "product-tour-targeting-"];

/// Whether requests that a flag of this key takes part in are billed, if the flag is active.
#[must_use]
pub fn billable_key(key: &str) -> bool {
    !FREE_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::billable_key;

    #[test]
    fn flags_of_surveys_and_tours_are_free() {
        for key in [
            "survey-targeting-a",
            "survey-targeting-",
            "product-tour-targeting-b",
        ] {
            assert!(!billable_key(key), "{key}");
        }
        for key in [
            "",
            "beta",
            "survey-targeting",
            "my-survey-targeting-a",
            "Survey-targeting-a",
        ] {
            assert!(billable_key(key), "{key}");
        }
    }
}
