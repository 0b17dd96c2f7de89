//! Shared or dedicated Redis: which of the two each entry is read from and written to (`storage.md` 6.3).

use std::fmt;

use crate::hypercache::Entry;

/// One of the two clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// `REDIS_URL`.
    Shared,
    /// `FLAGS_REDIS_URL`.
    Dedicated,
}

/// How the two are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// 1: there is no dedicated Redis.
    SharedOnly,
    /// 2: the dedicated one is being filled.
    Both,
    /// 3: the dedicated one serves.
    Dedicated {
        /// Definitions too; otherwise they are read from the shared one.
        definitions: bool,
    },
}

/// Where one entry is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Asked first.
    pub first: Server,
    /// Asked when the first one definitely has nothing.
    pub when_absent: Option<Server>,
    /// Asked while the first one is unavailable. Its "nothing there" proves nothing.
    pub when_unavailable: Option<Server>,
    /// Written by a builder.
    pub writes: &'static [Server],
    /// Written by read repair.
    pub repairs: &'static [Server],
}

const SHARED: &[Server] = &[Server::Shared];
const DEDICATED: &[Server] = &[Server::Dedicated];
const BOTH: &[Server] = &[Server::Dedicated, Server::Shared];

impl Mode {
    /// From the settings: whether `FLAGS_REDIS_URL` is set, `FLAGS_REDIS_ENABLED`,
    /// `FLAG_DEFINITIONS_DEDICATED_REDIS_ENABLED`.
    #[must_use]
    pub fn new(has_dedicated: bool, enabled: bool, definitions: bool) -> Self {
        match (has_dedicated, enabled) {
            (false, _) => Self::SharedOnly,
            (true, false) => Self::Both,
            (true, true) => Self::Dedicated { definitions },
        }
    }

    /// Number in the specification.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::SharedOnly => 1,
            Self::Both => 2,
            Self::Dedicated { .. } => 3,
        }
    }

    /// Where an entry is read and written. Definitions are always written to both (4.4).
    #[must_use]
    pub fn route(self, entry: Entry) -> Route {
        match self {
            Self::SharedOnly => Route {
                first: Server::Shared,
                when_absent: None,
                when_unavailable: None,
                writes: SHARED,
                repairs: SHARED,
            },
            Self::Both => Route {
                first: Server::Shared,
                when_absent: Some(Server::Dedicated),
                when_unavailable: None,
                writes: BOTH,
                repairs: BOTH,
            },
            Self::Dedicated { definitions } => {
                let is_definitions = entry == Entry::Definitions;
                let from_shared = is_definitions && !definitions;
                Route {
                    first: if from_shared {
                        Server::Shared
                    } else {
                        Server::Dedicated
                    },
                    when_absent: None,
                    when_unavailable: (!from_shared).then_some(Server::Shared),
                    writes: if is_definitions { BOTH } else { DEDICATED },
                    repairs: if from_shared { SHARED } else { DEDICATED },
                }
            }
        }
    }

    /// The clients that entries are read from in the ordinary course: those whose changes have to be followed.
    #[must_use]
    pub fn followed(self) -> &'static [Server] {
        match self {
            Self::SharedOnly => SHARED,
            Self::Dedicated { definitions: true } => DEDICATED,
            Self::Both | Self::Dedicated { definitions: false } => BOTH,
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Shared => "shared",
            Self::Dedicated => "dedicated",
        })
    }
}

impl fmt::Display for Mode {
    /// For the log at start: `mode 2: flags read from shared, then dedicated; ...`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "mode {}", self.number())?;
        let entries = [
            (Entry::Flags, "flags"),
            (Entry::Team, "team metadata"),
            (Entry::Config, "config"),
            (Entry::Definitions, "definitions"),
        ];
        for (index, (entry, name)) in entries.into_iter().enumerate() {
            let route = self.route(entry);
            let separator = if index == 0 { ':' } else { ';' };
            write!(formatter, "{separator} {name} read from {}", route.first)?;
            if let Some(second) = route.when_absent {
                write!(formatter, ", then {second}")?;
            }
            if let Some(second) = route.when_unavailable {
                write!(formatter, " ({second} while it is away)")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_choose_the_mode() {
        assert_eq!(Mode::new(false, true, true), Mode::SharedOnly);
        assert_eq!(Mode::new(true, false, true), Mode::Both);
        assert_eq!(
            Mode::new(true, true, false),
            Mode::Dedicated { definitions: false }
        );
    }

    #[test]
    fn definitions_follow_their_own_switch() {
        let off = Mode::Dedicated { definitions: false }.route(Entry::Definitions);
        assert_eq!(
            (off.first, off.writes, off.repairs),
            (Server::Shared, BOTH, SHARED)
        );
        let on = Mode::Dedicated { definitions: true }.route(Entry::Definitions);
        assert_eq!(
            (on.first, on.writes, on.repairs),
            (Server::Dedicated, BOTH, DEDICATED)
        );
        let flags = Mode::Dedicated { definitions: false }.route(Entry::Flags);
        assert_eq!((flags.first, flags.writes), (Server::Dedicated, DEDICATED));
    }

    #[test]
    fn the_mode_says_where_it_reads() {
        let text = Mode::Both.to_string();
        assert!(
            text.starts_with("mode 2: flags read from shared, then dedicated; "),
            "{text}"
        );
    }
}
