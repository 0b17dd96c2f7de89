//! Where in a document something stands; rendered only when it is reported.

use std::fmt;

/// A JSON path that borrows its parents, so that walking a sound document allocates nothing for it.
#[derive(Clone, Copy)]
pub(super) enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl<'p> Path<'p> {
    pub(super) fn key(&'p self, key: &'p str) -> Path<'p> {
        Path::Key(self, key)
    }

    pub(super) fn index(&'p self, index: usize) -> Path<'p> {
        Path::Index(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => formatter.write_str("$"),
            Self::Key(parent, key) if is_plain(key) => write!(formatter, "{parent}.{key}"),
            // Debug escapes quotes and control characters, so that a path always stays on one line.
            Self::Key(parent, key) => write!(formatter, "{parent}[{key:?}]"),
            Self::Index(parent, index) => write!(formatter, "{parent}[{index}]"),
        }
    }
}

fn is_plain(key: &str) -> bool {
    let mut bytes = key.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_from_the_root() {
        let document = Path::Root.index(0);
        let flags = document.key("flags");
        let flag = flags.index(3);
        assert_eq!(flag.key("filters").to_string(), "$[0].flags[3].filters");
    }

    #[test]
    fn unusual_keys_are_quoted_on_one_line() {
        assert_eq!(Path::Root.key("0").to_string(), "$[\"0\"]");
        assert_eq!(Path::Root.key("a\n\"b").to_string(), "$[\"a\\n\\\"b\"]");
        assert_eq!(Path::Root.key("").to_string(), "$[\"\"]");
    }
}
