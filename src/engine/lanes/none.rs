//! In the place of `x86` on other processors: no level has lanes there.

use super::level::{EIGHT, Group, LANES_MAX};
use super::message::Message;
use super::padding::Second;

/// There are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instructions {}

impl Instructions {
    pub fn named(_name: &str) -> Option<Self> {
        None
    }

    pub fn worth(self) -> usize {
        match self {}
    }

    pub fn lanes(self) -> usize {
        match self {}
    }
}

impl Group<EIGHT> for Instructions {
    fn digests(self, _messages: [&Message; EIGHT], _second: Second<EIGHT>) -> [[u64; EIGHT]; 2] {
        match self {}
    }
}

impl Group<LANES_MAX> for Instructions {
    fn digests(self, _messages: [&Message; LANES_MAX], _second: Second<LANES_MAX>) -> [[u64; LANES_MAX]; 2] {
        match self {}
    }
}
