//! Places where the specification allows two readings.
//!
//! [`Reading::default`] is the one the reference takes. A difference that disappears under another
//! reading is a question for the specification, not a defect.

/// One answer to every open question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// A deleted flag counts as an id that does not exist (definition loading removes it, section 5)
    /// instead of a left-out flag with the value `false` (the rule table of section 5).
    pub deleted_is_missing: bool,
    /// With `flag_keys` and metadata: do not follow the dependencies of left-out flags (section 5)
    /// instead of taking `transitive_deps` as it stands (6.5).
    pub closure_stops_at_left_out: bool,
    /// A group filter of a condition with rollout 0 and a usable key, whose properties nobody asked for:
    /// an absent key is unknown instead of not set. 14.5 has no row for "not needed and not run".
    pub skipped_group_is_unknown: bool,
    /// The behavioural note of 10.1 looks only at the targeted cohort itself, not at those it refers to.
    pub note_is_shallow: bool,
    /// An empty `transitive_deps` beside stages restricts as usual instead of lifting `flag_keys` (6.5).
    pub empty_closure_restricts: bool,
}
