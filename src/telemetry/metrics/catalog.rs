//! Every metric that this program exports: name, kind, labels, meaning. The table in `METRICS.md` is checked against it, and so
//! is the source text: a metric that is recorded somewhere has its line here.
//!
//! Names without our prefix are upstream's (`http.md` 17, `storage.md` 2.11, 5.9, 6.6), in upstream's units.

/// What kind of samples a metric has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, sum and count.
    Histogram,
}

impl Kind {
    /// The word of the text form.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Name.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, one phrase with its unit.
    pub help: &'static str,
}

macro_rules! catalog {
    ($($kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        /// All of them.
        pub const CATALOG: &[Metric] = &[$(Metric {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        }),*];
    };
}

catalog! {
    // HTTP (`http.md` 17.1)
    Counter "http_requests_total" ["method", "path", "status"] "Requests answered, all routes";
    Histogram "http_requests_duration_seconds" ["method", "path", "status"] "Seconds from the head of a request to its answer, all routes";
    // Requests (17.3)
    Counter "flags_requests_total" ["flags_disabled", "team_id"] "Evaluation requests (POST), by team";
    Histogram "flags_requests_duration_ms" ["flags_disabled", "team_id"] "Milliseconds an evaluation request";
    Counter "flags_request_faults_total" ["team_id"] "Evaluation requests answered with 5xx";
    Counter "flags_request_kludge_total" ["type", "client_type"] "Bodies that needed tolerance";
    Counter "flags_token_validation_errors_total" ["reason"] "Evaluation requests with a token of no project";
    Counter "flags_request_timeout_total" [] "Evaluation requests whose deadline passed";
    Histogram "flags_queue_time_ms" [] "Milliseconds between X-Request-Start and the head of the request, where a proxy sets it";
    Histogram "flags_pre_handler_time_ms" [] "Milliseconds from the head of a request to its handler; one request in 16";
    Histogram "flags_concurrency_limit_wait_ms" [] "Milliseconds that a request waited for a place in the handlers";
    Histogram "flags_rate_limit_check_ms" [] "Milliseconds that limiters took to charge address and token; one request in 16";
    Histogram "flags_token_extract_ms" [] "Milliseconds that finding the token in a body took, before it is decoded; one request in 16";
    Counter "flags_rate_limit_exceeded_total" ["token", "mode", "action"] "Evaluation requests over the limit of their project token";
    Counter "flags_ip_rate_limit_exceeded_total" ["ip", "mode", "action"] "Evaluation requests over the limit of their address";
    Gauge "flags_rate_limiter_token_entries" [] "Project tokens that the limiter tells apart";
    Gauge "flags_rate_limiter_ip_entries" [] "Addresses that the limiter tells apart";
    Gauge "flags_rate_limiter_definitions_entries" [] "Teams that the limiter of definitions tells apart";
    Counter "geoip_properties_differ_from_lookup" [] "Evaluation requests whose own location differs from that of their address";
    // Caches and storage (17.4; `storage.md` 2.11, 5.9)
    Counter "flags_team_cache_hit_total" ["cache_hit"] "Evaluation requests of a known team: true when it was held in memory";
    Counter "flags_team_negative_cache_hit_total" [] "Requests for tokens that are remembered as unknown";
    Counter "flags_db_team_reads_total" [] "Teams looked up in PostgreSQL";
    Counter "flags_cohort_cache_hit_total" [] "Cohort definitions found in memory by a load";
    Counter "flags_cohort_cache_miss_total" [] "Cohort definitions not found in memory by a load";
    Gauge "flags_cohort_cache_size_bytes" [] "Bytes of cohort definitions in memory";
    Gauge "flags_cohort_cache_entries" [] "Teams whose cohort definitions are in memory";
    Counter "flags_db_cohort_reads_total" [] "Reads of cohort definitions";
    Counter "flags_db_cohort_errors_total" [] "Reads of cohort definitions that failed";
    Counter "flags_db_group_type_reads_total" [] "Reads of group type mappings";
    Counter "flags_db_group_type_errors_total" [] "Reads of group type mappings that failed";
    Counter "flags_db_person_and_group_properties_reads_total" [] "Requests that read stored persons or groups";
    Counter "flags_property_cache_hits_total" [] "Evaluations that needed no stored property";
    Counter "flags_property_cache_misses_total" [] "Evaluations that needed stored properties";
    Histogram "flags_db_operations_per_request" ["team_id", "operation_type"] "What a request asked of a database: rows of persons and groups, cohort membership, hash keys";
    Gauge "flags_db_connection_pool_active_total" ["pool"] "Connections in use";
    Gauge "flags_db_connection_pool_idle_total" ["pool"] "Connections open and unused";
    Gauge "flags_db_connection_pool_max_total" ["pool"] "Most connections that may be open";
    Gauge "flags_db_connection_pool_size" ["pool"] "Connections open";
    Gauge "flags_pool_utilization_ratio" ["pool"] "Connections in use by the most that may be open";
    Counter "db_connection_created_total" ["pool"] "Connections opened";
    Histogram "flags_connection_hold_time_ms" ["pool"] "Milliseconds that a connection was held";
    Histogram "flags_db_connection_time" ["pool"] "Milliseconds until a connection was had";
    Counter "flags_acquire_timeout_total" ["pool"] "Connections that were not had in time";
    Counter "flags_database_error_total" ["pool", "error_type", "timeout_type"] "Failed acquires and statements";
    Counter "posthog_hypercache_get_from_cache" ["result", "namespace", "value"] "Reads of cache entries by where they ended";
    Counter "posthog_hypercache_read_repair" ["result", "namespace", "value", "key"] "Entries written back to Redis";
    Counter "posthog_tombstone_total" ["failure_type", "namespace", "value"] "Things that should not happen: entries in no tier";
    Counter "flag_request_redis_error" ["error"] "Commands to Redis that failed";
    Gauge "feature_flags_billing_limits_loaded_tokens" ["cache_key"] "Projects over their quota of flag requests";
    Gauge "session_replay_billing_limits_loaded_tokens" ["cache_key"] "Projects over their quota of recordings";
    // Evaluation (17.5)
    Histogram "flags_evaluation_time" [] "Milliseconds that the evaluation of a request took; one request in 16";
    Histogram "flags_get_match_time" [] "Milliseconds of evaluation by flag: of a request, divided by its flags; one request in 16";
    Histogram "flags_evaluate_all_conditions_time" [] "The same as flags_get_match_time, under its other name";
    Histogram "flags_person_query_time" [] "Milliseconds of a read that asked for a person";
    Histogram "flags_group_query_time" [] "Milliseconds of a read that asked for groups";
    Histogram "flags_cohort_query_time" [] "Milliseconds of a read that asked for static cohort membership";
    Histogram "flags_definition_query_time" [] "Milliseconds of a read of flags from PostgreSQL";
    Histogram "flags_properties_db_fetch_time" [] "Milliseconds that the stored facts of a request took";
    Histogram "flags_groups_db_fetch_time" [] "Milliseconds that stored groups took";
    Histogram "flags_person_processing_time" [] "Milliseconds that a stored person took to be put in place";
    Histogram "flags_group_processing_time" [] "Milliseconds that stored groups took to be put in place";
    Histogram "flags_cohort_processing_time" [] "Milliseconds that static cohort membership took to be put in place";
    Histogram "flags_groups_cache_fetch_time" [] "Milliseconds that group types took a load that had them in memory";
    Histogram "flags_hash_key_processing_time" [] "Milliseconds that the hash key overrides of a request took";
    Counter "flags_flag_evaluation_error_total" ["reason"] "Flags without a value";
    Counter "flags_flag_hash_key_writes_total" [] "Requests that recorded hash keys";
    Counter "flags_hash_key_retries_total" ["operation"] "Second attempts at hash key overrides";
    Counter "flags_hash_key_query_result_total" ["result"] "Looked up hash key overrides: found, empty, error";
    Counter "flags_experience_continuity_requests_total" [] "Evaluations of teams with experience continuity";
    Counter "flags_experience_continuity_optimized_total" ["status"] "Of these, look-ups performed and skipped";
    Counter "flags_dependency_graph_build_total" [] "Projects compiled, dependency graph included";
    Histogram "flags_dependency_graph_build_ms" [] "Milliseconds that compiling a project took";
    Counter "missing_requested_flag_key" [] "Keys in flag_keys that no flag has";
    // Definitions (17.6)
    Counter "flags_flag_definitions_requests_total" ["key"] "Authenticated requests for definitions, by team";
    Counter "flags_flag_definitions_auth_total" ["method"] "Credentials that opened a team";
    Counter "flags_flag_definitions_rate_limited_total" ["key", "mode"] "Requests for definitions over the limit of their team";
    Counter "flags_flag_definitions_rate_limit_bypassed_total" [] "Requests for definitions of teams that are not limited";
    Counter "flags_flag_definitions_cache_hit_total" ["source"] "Definitions served, by the tier that they came from";
    Counter "flags_flag_definitions_cache_miss_total" ["reason"] "Requests for definitions that no tier had";
    Counter "flags_flag_definitions_etag_total" ["result"] "Comparisons of If-None-Match";
    // Usage (`storage.md` 6.6)
    Counter "flags_billing_records_total" [] "Requests taken into a write of usage";
    Counter "flags_billing_entries_flushed_total" [] "Usage counts written";
    Counter "flags_billing_flush_errors_total" [] "Writes of usage that failed";
    Counter "flags_billing_unflushed_requests_total" ["cause"] "Requests whose usage was not written";
    Gauge "flags_billing_pending_entries" [] "Usage counts in memory";
    Gauge "flags_billing_pending_records" [] "Requests whose usage is in memory";
    Gauge "flags_billing_seconds_since_successful_flush" [] "Seconds since usage was written, or since the start";
    Counter "feature_flags_usage_uncertain_requests_total" [] "Requests whose usage may or may not have been written, because a reply was lost";
    // Ours
    Histogram "feature_flags_request_duration_seconds" [] "Seconds an evaluation request that was answered with 200, in about 200 buckets: for comparing versions";
    Histogram "feature_flags_stage_duration_seconds" ["stage"] "Seconds a stage of an evaluation: decode, snapshot, gather, evaluate, encode; one request in 16";
    Counter "feature_flags_dear_requests_total" [] "Requests that were evaluated in slices, or whose body is large";
    Counter "feature_flags_dear_slices_total" [] "Slices of such requests: decoding, evaluation and encoding";
    Histogram "feature_flags_dear_wait_seconds" ["for"] "Seconds that such requests waited: for a place in the handlers, for a turn to evaluate";
    Gauge "feature_flags_snapshots" [] "Teams held in memory";
    Gauge "feature_flags_snapshot_bytes" [] "Estimated bytes of the teams held in memory";
    Gauge "feature_flags_snapshot_age_seconds" ["tier"] "Seconds since the oldest team that was used within a minute was known to be current, by the tier that it came from";
    Gauge "feature_flags_unknown_tokens" [] "Tokens remembered as unknown";
    Counter "feature_flags_snapshot_loads_total" ["tier", "outcome"] "Loads of teams: changed, unchanged, unknown_token, failed";
    Histogram "feature_flags_snapshot_load_duration_seconds" [] "Seconds that a load took which found the team";
    Histogram "feature_flags_write_to_serve_seconds" [] "Seconds from the announcement of a change to its being served";
    Gauge "feature_flags_breaker_open" ["source"] "1 while a source is asked only now and then, because it failed repeatedly";
    Counter "feature_flags_log_dropped_total" [] "Log lines that were dropped because nobody read fast enough";
    Counter "feature_flags_trace_spans_exported_total" [] "Spans that the collector took";
    Counter "feature_flags_trace_spans_dropped_total" ["reason"] "Spans that were dropped: too many in a trace, too many waiting, not taken by the collector";
    Counter "feature_flags_trace_export_failures_total" [] "Attempts to export traces that failed";
    Counter "feature_flags_recorder_requests_total" ["result"] "Requests sampled by the recorder: written, dropped, undecodable";
    Counter "feature_flags_recorder_bytes_total" [] "Bytes of the recording";
    Gauge "feature_flags_build_info" ["version"] "Always 1; its label is the version";
    Counter "feature_flags_rate_limiter_shared_bucket_total" ["limiter"] "Checks of keys that share a bucket, because the limiter is full";
    Counter "feature_flags_geoip_lookups_total" ["result"] "Locations looked up: found, unknown, unreadable";
    // The process
    Counter "process_cpu_seconds_total" [] "Seconds of processor time, user and system";
    Gauge "process_resident_memory_bytes" [] "Bytes of resident memory";
    Gauge "process_threads" [] "Threads";
    Gauge "process_start_time_seconds" [] "When the process started, seconds since 1970";
    Gauge "process_open_fds" [] "Open file descriptors";
}
