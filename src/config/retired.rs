//! Variables that an operator of PostHog's own service may have set, and that do nothing here (`http.md` 16).

/// Settings that are accepted, so that an existing environment starts, and change nothing.
pub(super) const WITHOUT_EFFECT: &[(&str, &str)] = &[
    (
        "TEAM_CACHE_TTL_SECONDS",
        "entries are written by Django; remove it",
    ),
    (
        "FLAGS_CACHE_TTL_SECONDS",
        "entries are written by Django; remove it",
    ),
    (
        "COOKIELESS_IDENTIFIES_TTL_SECONDS",
        "identify counts are read here and written by Django; remove it",
    ),
    (
        "REDIS_CLIENT_RETRY_COUNT",
        "a lost connection is tried until it is back; remove it",
    ),
];

/// Names that are no settings of this program, and what to do instead. A name that becomes a setting leaves this list.
pub(super) const NOT_USED: &[(&str, &str)] = &[
    (
        "FLAG_DEFINITIONS_CACHE_TTL_SECONDS",
        "set SNAPSHOT_SOFT_TTL_MS and SNAPSHOT_HARD_TTL_MS instead",
    ),
    (
        "FLAG_DEFINITIONS_CACHE_MONITOR_INTERVAL_SECS",
        "the bytes held are a metric; remove it",
    ),
    (
        "CACHE_MAX_COHORT_ENTRIES",
        "set COHORT_CACHE_CAPACITY_BYTES instead",
    ),
    (
        "OBJECT_STORAGE_ACCESS_KEY_ID",
        "credentials are read as the AWS SDK does: set AWS_ACCESS_KEY_ID, or use a role",
    ),
    (
        "OBJECT_STORAGE_SECRET_ACCESS_KEY",
        "credentials are read as the AWS SDK does: set AWS_SECRET_ACCESS_KEY, or use a role",
    ),
    ("FLAGS_BOT_FILTER_MODE", "there is no bot filter; remove it"),
    ("FLAGS_LOG_BODIES_TEAMS", "bodies are never logged; remove it"),
    (
        "FLAGS_LOG_BODIES_REQUEST_MAX_BYTES",
        "bodies are never logged; remove it",
    ),
    (
        "FLAGS_SECRET_KEYS",
        "encrypted payloads are not decrypted; remove it",
    ),
    (
        "REMOTE_CONFIG_DEFAULT_RATE_PER_MINUTE",
        "that route is not served; remove it",
    ),
    (
        "INTERNAL_REQUEST_TOKEN",
        "internal requests are not served; remove it",
    ),
    (
        "BATCH_FLAG_EVAL_MAX_LIMIT",
        "batch evaluation is not served; remove it",
    ),
    (
        "BATCH_FLAG_EVAL_TIMEOUT_MS",
        "batch evaluation is not served; remove it",
    ),
    (
        "BATCH_FLAG_EVAL_SCAN_STATEMENT_TIMEOUT_MS",
        "batch evaluation is not served; remove it",
    ),
    (
        "BEHAVIORAL_COHORTS_READ_DATABASE_URL",
        "realtime cohorts are not evaluated; remove it",
    ),
    (
        "REALTIME_COHORT_EVALUATION_TEAM_IDS",
        "realtime cohorts are not evaluated; remove it",
    ),
    (
        "REALTIME_COHORT_MEMBERSHIP_STAMP_POLICY",
        "realtime cohorts are not evaluated; remove it",
    ),
    (
        "REALTIME_COHORT_LOOKUP_TIMEOUT_MS",
        "realtime cohorts are not evaluated; remove it",
    ),
    (
        "COHORT_MEMBERSHIP_CACHE_TTL_SECONDS",
        "realtime cohorts are not evaluated; remove it",
    ),
    (
        "COHORT_MEMBERSHIP_CACHE_MAX_ENTRIES",
        "realtime cohorts are not evaluated; remove it",
    ),
    (
        "USAGE_INGESTION_ADDR",
        "usage is counted in Redis alone; remove it",
    ),
    (
        "USAGE_INGESTION_TLS",
        "usage is counted in Redis alone; remove it",
    ),
    (
        "USAGE_INGESTION_REPORT_TEAMS",
        "usage is counted in Redis alone; remove it",
    ),
    (
        "USAGE_INGESTION_TIMEOUT_MS",
        "usage is counted in Redis alone; remove it",
    ),
];
