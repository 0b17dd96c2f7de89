//! What a compiled pattern takes in memory: from 3 KB for `abc` to half a megabyte for `(\w+\s){1,10}end`.
//!
//! Its length says nothing about that, and the library that compiles it does not tell, so the automaton below that
//! library is asked. That compiles the pattern a second time, at load, where it is not on the request path.

use fancy_regex::Regex;
use regex_automata::meta;

/// A pattern with a table of Unicode's word characters, digits or spaces; measured for `\d`, `\w` has more.
const CLASS_BYTES: usize = 16 << 10;

/// Patterns that only backtracking can match: measured for the simplest ones.
const BACKTRACKING_BYTES: usize = 12 << 10;

/// The same for each byte of text.
const BACKTRACKING_BYTES_PER_BYTE: usize = 192;

/// Estimated heap bytes of a pattern that has been used once: every first use adds a cache, which takes between nothing and
/// as much again as the automaton. More threads at once add a cache each, which is left out.
pub(super) fn pattern_bytes(pattern: &str) -> usize {
    let automaton = match meta::Regex::new(pattern) {
        Ok(regex) => regex.memory_usage() + size_of::<meta::Regex>(),
        // Look-around and references to groups: split up by the library above, in a way that it keeps to itself.
        Err(_) => {
            let classes = ["\\w", "\\W", "\\d", "\\D", "\\s", "\\S", "\\p"];
            let classes: usize = classes.iter().map(|class| pattern.matches(class).count()).sum();
            BACKTRACKING_BYTES + pattern.len() * BACKTRACKING_BYTES_PER_BYTE + classes * CLASS_BYTES
        }
    };
    size_of::<Regex>() + pattern.len() * 2 + automaton + automaton * 7 / 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pattern_says_counts_and_not_its_length() {
        assert!(pattern_bytes("abc") < 8 << 10);
        assert!(pattern_bytes(r"(\w+\s){1,10}end") > 256 << 10);
        assert!(pattern_bytes("^(?!foo).*$") > 8 << 10);
    }
}
