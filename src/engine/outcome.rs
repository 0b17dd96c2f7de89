//! What evaluation says of one flag: small, `Copy`, no text. Texts are fragments of the snapshot.

/// Position of a flag in its project's evaluation order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlagIndex(pub u32);

/// Position of a text in a flag's variant table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VariantIndex(pub u16);

/// Value of a flag, with what decides its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagValue {
    /// Not matched: no payload.
    Off,
    /// Early access declined: not matched, yet the payload of `true` is reported (`evaluation.md` 9.2).
    OffWithPayload,
    /// Matched without a variant.
    On,
    /// Matched with a variant.
    Variant(VariantIndex),
    /// The evaluation failed: no value for dependents.
    Failed,
}

/// Why (`evaluation.md` 10.1, 16.1). Order and score are not related.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "code() names them")]
pub enum Reason {
    ConditionMatch,
    NoConditionMatch,
    NoConditionMatchWithoutGroup,
    NoConditionMatchBehavioral,
    OutOfRolloutBound,
    NoGroupType,
    SuperConditionValue,
    HoldoutConditionValue,
    MissingDependency,
    HashKeyOverrideError,
    CohortNotFound,
    CohortCycle,
    CohortFiltersParsing,
    DatabaseUnavailable,
    TimeoutPool,
    TimeoutIo,
    TimeoutProtocol,
    TimeoutQueryCanceled,
    TimeoutLock,
    TimeoutIdleInTransaction,
    TimeoutPersonsDeadline,
    DatabaseError,
    BatchPanicked,
    FlagDataParsing,
}

impl Reason {
    /// Every reason, for tables indexed by `reason as usize`.
    pub const ALL: [Self; 24] = [
        Self::ConditionMatch,
        Self::NoConditionMatch,
        Self::NoConditionMatchWithoutGroup,
        Self::NoConditionMatchBehavioral,
        Self::OutOfRolloutBound,
        Self::NoGroupType,
        Self::SuperConditionValue,
        Self::HoldoutConditionValue,
        Self::MissingDependency,
        Self::HashKeyOverrideError,
        Self::CohortNotFound,
        Self::CohortCycle,
        Self::CohortFiltersParsing,
        Self::DatabaseUnavailable,
        Self::TimeoutPool,
        Self::TimeoutIo,
        Self::TimeoutProtocol,
        Self::TimeoutQueryCanceled,
        Self::TimeoutLock,
        Self::TimeoutIdleInTransaction,
        Self::TimeoutPersonsDeadline,
        Self::DatabaseError,
        Self::BatchPanicked,
        Self::FlagDataParsing,
    ];

    /// `reason.code` on the wire.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::ConditionMatch => "condition_match",
            Self::NoConditionMatch
            | Self::NoConditionMatchWithoutGroup
            | Self::NoConditionMatchBehavioral => "no_condition_match",
            Self::OutOfRolloutBound => "out_of_rollout_bound",
            Self::NoGroupType => "no_group_type",
            Self::SuperConditionValue => "super_condition_value",
            Self::HoldoutConditionValue => "holdout_condition_value",
            Self::MissingDependency => "missing_dependency",
            Self::HashKeyOverrideError => "hash_key_override_error",
            Self::CohortNotFound => "dependency_not_found_cohort",
            Self::CohortCycle => "dependency_cycle_cohort",
            Self::CohortFiltersParsing => "cohort_filters_parsing_error",
            Self::DatabaseUnavailable => "database_unavailable",
            Self::TimeoutPool => "timeout:pool_timeout",
            Self::TimeoutIo => "timeout:io_timeout",
            Self::TimeoutProtocol => "timeout:protocol_timeout",
            Self::TimeoutQueryCanceled => "timeout:query_canceled",
            Self::TimeoutLock => "timeout:lock_not_available",
            Self::TimeoutIdleInTransaction => "timeout:idle_in_transaction_timeout",
            Self::TimeoutPersonsDeadline => "timeout:persons_db_deadline",
            Self::DatabaseError => "database_error",
            Self::BatchPanicked => "batch_evaluation_panicked",
            Self::FlagDataParsing => "flag_data_parsing_error",
        }
    }

    /// `reason.description` on the wire; that of a match ends in the condition's number, added by the encoder.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::ConditionMatch => "Matched condition set ",
            Self::NoConditionMatch => "No matching condition set",
            Self::NoConditionMatchWithoutGroup => {
                "No matching condition set (group conditions were not evaluated because no group type was provided)"
            }
            Self::NoConditionMatchBehavioral => {
                "This condition targets a behavioral or realtime cohort. Its membership is not fully evaluated here, so this result can differ from the cohort's member list."
            }
            Self::OutOfRolloutBound => "Out of rollout bound",
            Self::NoGroupType => "No group type",
            Self::SuperConditionValue => "Super condition value",
            Self::HoldoutConditionValue => "Holdout condition value",
            Self::MissingDependency => "Flag cannot be evaluated due to missing dependency",
            Self::HashKeyOverrideError => "Failed to read experience continuity overrides",
            Self::CohortNotFound => "Cohort dependency not found",
            Self::CohortCycle => "Cohort dependency cycle detected",
            Self::CohortFiltersParsing => "Failed to parse cohort filters",
            Self::DatabaseUnavailable => "Database is currently unavailable",
            Self::TimeoutPool => "Timeout: pool_timeout",
            Self::TimeoutIo => "Timeout: io_timeout",
            Self::TimeoutProtocol => "Timeout: protocol_timeout",
            Self::TimeoutQueryCanceled => "Timeout: query_canceled",
            Self::TimeoutLock => "Timeout: lock_not_available",
            Self::TimeoutIdleInTransaction => "Timeout: idle_in_transaction_timeout",
            Self::TimeoutPersonsDeadline => "Timeout: persons_db_deadline",
            Self::DatabaseError => "Database connection error during evaluation",
            Self::BatchPanicked => "Flag evaluation failed unexpectedly",
            Self::FlagDataParsing => "Flag configuration format is not supported",
        }
    }

    /// Rank among the reasons that compete when nothing matched (10.1); the higher one is reported.
    #[must_use]
    pub fn score(self) -> u8 {
        match self {
            Self::OutOfRolloutBound => 3,
            Self::NoConditionMatch
            | Self::NoConditionMatchWithoutGroup
            | Self::NoConditionMatchBehavioral => 2,
            _ => 1,
        }
    }
}

/// The record of one flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlagResult {
    /// Which flag.
    pub flag: FlagIndex,
    /// Its value.
    pub value: FlagValue,
    /// Why.
    pub reason: Reason,
    /// Stored position of the condition that decided, [`FlagResult::NO_CONDITION`] for none.
    pub condition: u32,
}

impl FlagResult {
    /// `condition_index` null.
    pub const NO_CONDITION: u32 = u32::MAX;

    /// A failed record.
    #[must_use]
    pub fn failed(flag: FlagIndex, reason: Reason) -> Self {
        Self {
            flag,
            value: FlagValue::Failed,
            reason,
            condition: Self::NO_CONDITION,
        }
    }

    /// `condition_index` as the wire has it.
    #[must_use]
    pub fn condition_index(&self) -> Option<u32> {
        (self.condition != Self::NO_CONDITION).then_some(self.condition)
    }

    /// Whether the flag is on.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        matches!(self.value, FlagValue::On | FlagValue::Variant(_))
    }
}
