//! A look at nesting before parsers that recurse.

/// Levels that the parsers are given.
const DEPTH_MAX: usize = 200;

/// Whether arrays and objects nest deeper than the parsers may go. Counts brackets outside strings; says nothing of validity.
pub(super) fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        if escaped {
            escaped = false;
        } else if in_string {
            escaped = byte == b'\\';
            in_string = byte != b'"';
        } else {
            match byte {
                b'"' => in_string = true,
                b'[' | b'{' => {
                    depth += 1;
                    if depth > DEPTH_MAX {
                        return true;
                    }
                }
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }
    false
}
