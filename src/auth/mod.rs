//! Tokens and keys to a team.
