//! Counts evaluation requests at their end (`http.md` 17.3 to 17.5), from what their notes say.

use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

use super::http::{HttpMetrics, PathLabel};
use super::metrics::buckets::DENSE_NAME;
use super::note::{RequestNote, Stage, TeamCache};
use super::teams::{Operation, TeamTable};
use crate::config::TeamSet;
use crate::engine::{FlagResult, FlagValue, Reason};
use crate::evaluation::{Gathering, OverrideStatus};
use crate::wire::Kludges;

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    /// Status of the answer.
    pub status: u16,
    /// The error's code (`http.md` 12.5).
    pub error_code: Option<&'static str>,
    /// From the head of the request to its answer.
    pub took: Duration,
}

/// Handles of everything that requests are counted by.
#[derive(Debug)]
pub struct RequestMetrics {
    http: HttpMetrics,
    teams: TeamTable,
    seconds: Histogram,
    stages: [Histogram; Stage::ALL.len()],
    evaluation_ms: Histogram,
    /// The same by flag, under both of upstream's names.
    flag_ms: [Histogram; 2],
    queued_ms: Histogram,
    before_handler_ms: Histogram,
    place_wait_ms: Histogram,
    token_extract_ms: Histogram,
    limit_check_ms: Histogram,
    timeouts: Counter,
    token_not_found: Counter,
    /// By whether the team was held.
    team_cache: [Counter; 2],
    property_cache_hits: Counter,
    property_cache_misses: Counter,
    stored: StoredMetrics,
    kludges: KludgeMetrics,
    reasons: [Counter; Reason::ALL.len()],
    missing_flag_keys: Counter,
    continuity_requests: Counter,
    /// By whether the look-up was left out.
    continuity_optimized: [Counter; 2],
}

/// What requests asked of stored persons.
#[derive(Debug)]
struct StoredMetrics {
    reads: Counter,
    fetch_ms: Histogram,
    person_ms: Histogram,
    group_ms: Histogram,
    groups_fetch_ms: Histogram,
    cohort_ms: Histogram,
    person_processing_ms: Histogram,
    group_processing_ms: Histogram,
    cohort_processing_ms: Histogram,
    hash_key_ms: Histogram,
    hash_key_found: Counter,
    hash_key_empty: Counter,
    hash_key_error: Counter,
}

/// Values of the label `client_type`.
const CLIENTS: [&str; 15] = [
    "posthog-js",
    "posthog-node",
    "posthog-python",
    "posthog-php",
    "posthog-ruby",
    "posthog-go",
    "posthog-java",
    "posthog-server",
    "posthog-dotnet",
    "posthog-elixir",
    "posthog-android",
    "posthog-ios",
    "posthog-react-native",
    "posthog-flutter",
    "other",
];

#[derive(Debug)]
struct KludgeMetrics {
    auto_detected_gzip: Counter,
    base64_fallback_success: Counter,
    /// By client; the last is every other.
    missing_data_prefix: [Counter; CLIENTS.len()],
    padding_needed: Counter,
    lossy_utf8: Counter,
}

impl RequestMetrics {
    /// Resolves all handles. `tracked`: teams that metrics name.
    #[must_use]
    pub fn new(tracked: TeamSet) -> Self {
        let kludge = |kind: &'static str| counter!("flags_request_kludge_total", "type" => kind);
        Self {
            http: HttpMetrics::default(),
            teams: TeamTable::new(tracked),
            seconds: histogram!(DENSE_NAME),
            stages: Stage::ALL
                .map(|stage| histogram!("feature_flags_stage_duration_seconds", "stage" => stage.name())),
            evaluation_ms: histogram!("flags_evaluation_time"),
            flag_ms: [
                histogram!("flags_get_match_time"),
                histogram!("flags_evaluate_all_conditions_time"),
            ],
            queued_ms: histogram!("flags_queue_time_ms"),
            before_handler_ms: histogram!("flags_pre_handler_time_ms"),
            place_wait_ms: histogram!("flags_concurrency_limit_wait_ms"),
            token_extract_ms: histogram!("flags_token_extract_ms"),
            limit_check_ms: histogram!("flags_rate_limit_check_ms"),
            timeouts: counter!("flags_request_timeout_total"),
            token_not_found: counter!("flags_token_validation_errors_total", "reason" => "token_not_found"),
            team_cache: ["false", "true"]
                .map(|hit| counter!("flags_team_cache_hit_total", "cache_hit" => hit)),
            property_cache_hits: counter!("flags_property_cache_hits_total"),
            property_cache_misses: counter!("flags_property_cache_misses_total"),
            stored: StoredMetrics {
                reads: counter!("flags_db_person_and_group_properties_reads_total"),
                fetch_ms: histogram!("flags_properties_db_fetch_time"),
                person_ms: histogram!("flags_person_query_time"),
                group_ms: histogram!("flags_group_query_time"),
                groups_fetch_ms: histogram!("flags_groups_db_fetch_time"),
                cohort_ms: histogram!("flags_cohort_query_time"),
                person_processing_ms: histogram!("flags_person_processing_time"),
                group_processing_ms: histogram!("flags_group_processing_time"),
                cohort_processing_ms: histogram!("flags_cohort_processing_time"),
                hash_key_ms: histogram!("flags_hash_key_processing_time"),
                hash_key_found: counter!("flags_hash_key_query_result_total", "result" => "found"),
                hash_key_empty: counter!("flags_hash_key_query_result_total", "result" => "empty"),
                hash_key_error: counter!("flags_hash_key_query_result_total", "result" => "error"),
            },
            kludges: KludgeMetrics {
                auto_detected_gzip: kludge("auto_detected_gzip"),
                base64_fallback_success: kludge("base64_fallback_success"),
                missing_data_prefix: CLIENTS.map(|client| {
                    counter!("flags_request_kludge_total", "type" => "missing_data_prefix", "client_type" => client)
                }),
                padding_needed: kludge("padding_needed"),
                lossy_utf8: kludge("lossy_utf8"),
            },
            reasons: Reason::ALL.map(|reason| match reason {
                Reason::ConditionMatch
                | Reason::NoConditionMatch
                | Reason::NoConditionMatchWithoutGroup
                | Reason::NoConditionMatchBehavioral
                | Reason::OutOfRolloutBound
                | Reason::NoGroupType
                | Reason::SuperConditionValue
                | Reason::HoldoutConditionValue => Counter::noop(),
                failure => counter!("flags_flag_evaluation_error_total", "reason" => failure.code()),
            }),
            missing_flag_keys: counter!("missing_requested_flag_key"),
            continuity_requests: counter!("flags_experience_continuity_requests_total"),
            continuity_optimized: ["performed", "skipped"]
                .map(|status| counter!("flags_experience_continuity_optimized_total", "status" => status)),
        }
    }

    /// Numbers of teams.
    #[must_use]
    pub fn teams(&self) -> &TeamTable {
        &self.teams
    }

    /// Counts any request.
    pub fn record(&self, path: PathLabel, method: &str, ending: &Ending) {
        self.http.record(path, method, ending.status, ending.took);
    }

    /// Counts an evaluation request, after [`RequestMetrics::record`].
    pub fn record_flags(&self, note: &RequestNote, ending: &Ending) {
        let is_fault = ending.status >= 500;
        self.teams.record(
            note.team,
            note.team_id,
            note.flags_disabled,
            ending.took,
            is_fault,
        );
        self.place_wait_ms.record(milliseconds(note.place_wait));
        if ending.status == 200 {
            self.seconds.record(ending.took.as_secs_f64());
        } else {
            self.record_failure(note, ending);
        }
        if note.kludges != Kludges::default() {
            self.record_kludges(note.kludges, note.client_type);
        }
        if let Some(from) = note.team_cache {
            match from {
                TeamCache::Held => self.team_cache[1].increment(1),
                TeamCache::Loaded => self.team_cache[0].increment(1),
            }
        }
        if let Some(queued) = note.queued {
            self.queued_ms.record(milliseconds(queued));
        }
        if let Some(before) = note.before_handler {
            self.before_handler_ms.record(milliseconds(before));
        }
        if let Some(times) = note.admission {
            self.token_extract_ms.record(milliseconds(times.token_extract));
            self.limit_check_ms.record(milliseconds(times.limit_check));
        }
        if note.evaluated {
            self.record_evaluation(note);
        }
    }

    fn record_evaluation(&self, note: &RequestNote) {
        // A traced request is timed and not one of the measured ones: senders choose it.
        if note.sampled
            && let Some(spent) = note.stages.spent()
        {
            let gathered = note.gathering != Gathering::default();
            for (stage, histogram) in Stage::ALL.into_iter().zip(&self.stages) {
                if stage != Stage::Gather || gathered {
                    histogram.record(spent[stage as usize].as_secs_f64());
                }
            }
            let evaluation = spent[Stage::Evaluate as usize];
            self.evaluation_ms.record(milliseconds(evaluation));
            // Flags of a request are decided in turns, while their hashes are computed together: a flag has a share, not a time.
            if let Some(share) = evaluation.checked_div(note.flags_evaluated) {
                for histogram in &self.flag_ms {
                    histogram.record(milliseconds(share));
                }
            }
        }
        if note.continuity_flags > 0 {
            self.continuity_requests.increment(1);
            let skipped = note.gathering.continuity.is_none();
            self.continuity_optimized[usize::from(skipped)].increment(1);
        }
        if note.gathering == Gathering::default() {
            self.property_cache_hits.increment(1);
        } else {
            self.record_gathering(&note.gathering);
            self.record_operations(note);
        }
    }

    #[cold]
    fn record_operations(&self, note: &RequestNote) {
        let gathering = &note.gathering;
        let facts = |times: u32| if gathering.facts.is_some() { times } else { 0 };
        for (operation, times) in [
            (Operation::Person, facts(u32::from(gathering.person))),
            (Operation::Group, facts(gathering.groups)),
            (Operation::Cohort, facts(u32::from(gathering.static_cohorts > 0))),
            (Operation::HashKey, u32::from(gathering.continuity.is_some())),
        ] {
            if times > 0 {
                self.teams
                    .record_operation(note.team, note.team_id, operation, times);
            }
        }
    }

    #[cold]
    fn record_gathering(&self, gathering: &Gathering) {
        let stored = &self.stored;
        if let Some(facts) = gathering.facts {
            let took = milliseconds(facts);
            self.property_cache_misses.increment(1);
            stored.reads.increment(1);
            stored.fetch_ms.record(took);
            // One round trip answers all three; each is as long as the whole.
            if gathering.person {
                stored.person_ms.record(took);
            }
            if gathering.groups > 0 {
                stored.group_ms.record(took);
                stored.groups_fetch_ms.record(took);
            }
            if gathering.static_cohorts > 0 {
                stored.cohort_ms.record(took);
            }
            if let Some(merging) = gathering.merging {
                stored.person_processing_ms.record(milliseconds(merging.person));
                if gathering.static_cohorts > 0 {
                    stored.cohort_processing_ms.record(milliseconds(merging.cohorts));
                }
                if gathering.groups > 0 {
                    stored.group_processing_ms.record(milliseconds(merging.groups));
                }
            }
        } else {
            self.property_cache_hits.increment(1);
        }
        if let Some(continuity) = gathering.continuity {
            stored.hash_key_ms.record(milliseconds(continuity));
        }
        match gathering.overrides {
            OverrideStatus::NotAsked => {}
            OverrideStatus::Found => stored.hash_key_found.increment(1),
            OverrideStatus::Empty => stored.hash_key_empty.increment(1),
            OverrideStatus::Failed => stored.hash_key_error.increment(1),
        }
    }

    #[cold]
    fn record_failure(&self, note: &RequestNote, ending: &Ending) {
        if note.timed_out {
            self.timeouts.increment(1);
        }
        if ending.error_code == Some("invalid_token") {
            self.token_not_found.increment(1);
        }
    }

    /// What had to be put up with in a body.
    #[cold]
    fn record_kludges(&self, kludges: Kludges, client: Option<&str>) {
        let counters = &self.kludges;
        let named = CLIENTS.iter().position(|known| Some(*known) == client);
        let client = named.unwrap_or(CLIENTS.len() - 1);
        for (met, counter) in [
            (kludges.auto_detected_gzip, &counters.auto_detected_gzip),
            (kludges.base64_fallback_success, &counters.base64_fallback_success),
            (kludges.missing_data_prefix, &counters.missing_data_prefix[client]),
            (kludges.padding_needed, &counters.padding_needed),
            (kludges.lossy_utf8, &counters.lossy_utf8),
        ] {
            if met {
                counter.increment(1);
            }
        }
    }

    /// Counts failed flags by reason.
    #[cold]
    pub fn record_failed_flags(&self, results: &[FlagResult]) {
        for result in results.iter().filter(|result| result.value == FlagValue::Failed) {
            if let Some(counter) = self.reasons.get(result.reason as usize) {
                counter.increment(1);
            }
        }
    }

    /// Counts `flag_keys` of a request that no flag has.
    pub fn record_missing_keys(&self, keys: u64) {
        if keys > 0 {
            self.missing_flag_keys.increment(keys);
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
