//! Every setting: field, variable, default, parser, meaning.
//!
//! Names and defaults are those of `http.md` 16 unless the meaning says otherwise; bounds are ours and
//! only keep out values that cannot have been meant. Plain data: nothing is decided here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::otlp::{self, OtlpProtocol, Pairs};
use super::parse::{
    between, boolean, log_level, milliseconds, optional_milliseconds, optional_path, optional_place,
    optional_postgres_url, optional_redis_url, optional_seconds, optional_secret, optional_text, positive,
    postgres_url, redaction, redis_url, seconds, service_mode, socket_address, text,
};
use super::reader::Reader;
use super::{Secret, TeamRates, TeamSet, TokenRates, Variable};

/// Which routes a process serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceMode {
    /// Everything.
    All,
    /// `/flags`, `/decide` and the probes.
    Flags,
    /// `/flags/definitions`, its alias and the probes.
    Definitions,
}

/// The least that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Defects.
    Error,
    /// And what is not as it should be.
    Warn,
    /// And requests.
    Info,
    /// And what only developers want to know.
    Debug,
}

/// What a recording hides; each hides what the one before it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redaction {
    /// Nothing.
    None,
    /// Project tokens.
    Tokens,
    /// And ids and property values that no flag of the team looks at.
    Unused,
    /// And all other ids and property values.
    All,
}

impl Redaction {
    /// As the setting and the file have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tokens => "tokens",
            Self::Unused => "unused",
            Self::All => "all",
        }
    }
}

/// A credential has a `_FILE` form and is never shown; the type of its field says that it is one.
macro_rules! variable {
    ($type:ty, $name:literal, $default:literal, $meaning:literal) => {
        Variable {
            name: $name,
            default: $default,
            meaning: $meaning,
            file: if holds_secret(stringify!($type)) {
                Some(concat!($name, "_FILE"))
            } else {
                None
            },
        }
    };
}

/// Whether a type, as it is written below, is a credential.
const fn holds_secret(field_type: &str) -> bool {
    const SECRET: &[u8] = b"Secret";
    let (text, mut at) = (field_type.as_bytes(), 0);
    while at + SECRET.len() <= text.len() {
        let mut same = 0;
        while same < SECRET.len() && text[at + same] == SECRET[same] {
            same += 1;
        }
        if same == SECRET.len() {
            return true;
        }
        at += 1;
    }
    false
}

macro_rules! settings {
    ($(#[$doc:meta])* $section:ident {
        $($field:ident: $type:ty = $name:literal, $default:literal, $parser:expr, $meaning:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $section {
            $(
                #[doc = concat!("`", $name, "` (default `", $default, "`): ", $meaning, ".")]
                pub $field: $type,
            )*
        }

        impl $section {
            /// The variables of this section, in the order of its fields.
            pub const VARIABLES: &'static [Variable] =
                &[$(variable!($type, $name, $default, $meaning)),*];

            /// `None` when some variable cannot be used; the reader has noted which, all of them.
            pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
                $(
                    let $field = reader
                        .read(const { &variable!($type, $name, $default, $meaning) }, $parser);
                )*
                Some(Self { $($field: $field?),* })
            }
        }
    };
}

settings! {
    /// Listening, connections, start and stop.
    ServerSettings {
        address: SocketAddr = "ADDRESS", "127.0.0.1:3001", socket_address,
            "address and port to listen on";
        service_mode: ServiceMode = "SERVICE_MODE", "all", service_mode,
            "routes that are served: all, flags or definitions";
        worker_threads: usize = "THREAD_POOL_CORES", "0", between(0, 1024),
            "threads that serve requests; 0: as many as the processor quota allows";
        max_connections: usize = "MAX_CONNECTIONS", "10000", between(1, 1_000_000),
            "open connections; more wait in the backlog of the kernel";
        header_read_timeout: Duration = "HEADER_READ_TIMEOUT_MS", "10000", milliseconds(1, 600000),
            "milliseconds from the first byte of a request to the end of its headers; then the connection is closed";
        keep_alive_timeout: Duration = "KEEP_ALIVE_TIMEOUT_MS", "900000", milliseconds(1, 86400000),
            "milliseconds that a connection may idle between requests; keep it above the idle timeout of the proxy in front";
        body_read_timeout: Duration = "BODY_READ_TIMEOUT_MS", "4000", milliseconds(1, 600000),
            "milliseconds for a body to arrive; then 400";
        header_count_max: usize = "HEADER_COUNT_MAX", "100", between(8, 1000),
            "header lines of a request; more: 431";
        header_bytes_max: usize = "HEADER_BYTES_MAX", "65536", between(8192, 1_048_576),
            "bytes of request line and headers; more: 431";
        http2_streams_max: u32 = "HTTP2_STREAMS_MAX", "200", between(1, 10_000),
            "requests at once on one HTTP/2 connection";
        shutdown_delay: Duration = "SHUTDOWN_DELAY_MS", "0", milliseconds(0, 300000),
            "milliseconds of serving on with readiness at 503 after the first signal, for balancers to notice";
        drain_timeout: Duration = "DRAIN_TIMEOUT_MS", "10000", milliseconds(0, 600000),
            "milliseconds for requests in flight to end once no connection is accepted any more";
        readiness_checks_database: bool = "READINESS_CHECKS_DATABASE", "true", boolean,
            "whether /_readiness asks the stores";
        trusted_proxy_hops: usize = "TRUSTED_PROXY_HOPS", "0", between(0, 32),
            "proxies whose X-Forwarded-For entries are believed: the client is that many entries from the right; 0: the leftmost entry, whoever wrote it";
        exit_when_dependency_unavailable: bool = "EXIT_WHEN_DEPENDENCY_UNAVAILABLE", "false", boolean,
            "end the process when a store cannot be reached at start, instead of retrying";
    }
}

settings! {
    /// How much runs at once, and for how long.
    ConcurrencySettings {
        max_concurrency: usize = "MAX_CONCURRENCY", "1000", between(1, 1_000_000),
            "requests in the flag handlers at once; more wait";
        request_timeout: Duration = "REQUEST_TIMEOUT_MS", "4500", milliseconds(1, 600000),
            "milliseconds for a request on a flag route; then 503";
        persons_deadline: Duration = "PERSONS_DB_DEADLINE_MS", "2500", milliseconds(0, 600000),
            "milliseconds for all person reads and writes of a request; 0: only the request's own limit";
        dear_cost: u64 = "DEAR_REQUEST_COST", "250000", between(0, 1_000_000_000),
            "estimated instructions from which on a request is evaluated in slices of that size, others between them; 250000 are about 400 flags; 0: never";
        dear_requests_max: usize = "DEAR_REQUESTS_MAX", "0", between(0, 1_000_000),
            "such requests in the flag handlers at once, more wait; 0: a quarter of MAX_CONCURRENCY";
    }
}

settings! {
    /// The two limiters of `POST /flags` (`http.md` 15.1).
    RateLimitSettings {
        token_enabled: bool = "FLAGS_RATE_LIMIT_ENABLED", "false", boolean,
            "limit requests by project token";
        token_burst: u32 = "FLAGS_BUCKET_CAPACITY", "500", between(1, u32::MAX),
            "requests of one project token at once";
        token_per_second: f64 = "FLAGS_BUCKET_REPLENISH_RATE", "10.0", positive,
            "requests a second that a project token regains";
        token_log_only: bool = "FLAGS_RATE_LIMIT_LOG_ONLY", "true", boolean,
            "count and log instead of refusing, project tokens";
        ip_enabled: bool = "FLAGS_IP_RATE_LIMIT_ENABLED", "false", boolean,
            "limit requests by client address";
        ip_burst: u32 = "FLAGS_IP_BURST_SIZE", "1000", between(1, u32::MAX),
            "requests of one client address at once";
        ip_per_second: f64 = "FLAGS_IP_REPLENISH_RATE", "50.0", positive,
            "requests a second that a client address regains";
        ip_log_only: bool = "FLAGS_IP_RATE_LIMIT_LOG_ONLY", "true", boolean,
            "count and log instead of refusing, client addresses";
        token_overrides: TokenRates = "FLAGS_TOKEN_RATE_LIMIT_OVERRIDES", "", TokenRates::parse,
            "JSON object from project token to rate, such as {\"phc_a\": \"1200/minute\"}; at most 100";
        warn_capacity_ratio: f64 = "FLAGS_WARN_CAPACITY_RATIO", "0", between(0.0, 1.0),
            "share of a burst above which answers carry X-PostHog-Rate-Limit-Warning; 0: none do";
        entries_max: usize = "RATE_LIMITER_ENTRIES_MAX", "250000", between(1, 100_000_000),
            "keys that each limiter keeps apart; beyond it new keys share buckets";
        cleanup_interval: Duration = "RATE_LIMITER_CLEANUP_INTERVAL_SECS", "60", seconds(1, 86400),
            "seconds between removals of idle limiter entries";
    }
}

settings! {
    /// Definitions held in memory.
    SnapshotSettings {
        soft_ttl: Duration = "SNAPSHOT_SOFT_TTL_MS", "2000", milliseconds(1, 86400000),
            "milliseconds after which definitions are served and refreshed in the background";
        hard_ttl: Duration = "SNAPSHOT_HARD_TTL_MS", "30000", milliseconds(1, 86400000),
            "milliseconds after which a request waits for fresh definitions";
        load_wait: Duration = "SNAPSHOT_LOAD_WAIT_MS", "200", milliseconds(0, 600000),
            "milliseconds that a request waits for fresh definitions when old ones exist";
        capacity_bytes: usize = "FLAG_DEFINITIONS_CACHE_CAPACITY_BYTES", "134217728", between(0, 1_099_511_627_776),
            "bytes of compiled definitions in memory";
        cohort_capacity_bytes: usize = "COHORT_CACHE_CAPACITY_BYTES", "268435456", between(0, 1_099_511_627_776),
            "bytes of cohort definitions in memory";
        cohort_ttl: Duration = "CACHE_TTL_SECONDS", "300", seconds(1, 31536000),
            "seconds after which cohorts are read again";
        group_type_ttl: Duration = "GROUP_TYPE_CACHE_TTL_SECONDS", "300", seconds(1, 31536000),
            "seconds after which group type mappings are read again";
        group_type_entries_max: usize = "GROUP_TYPE_CACHE_MAX_ENTRIES", "50000", between(1, 1_000_000_000),
            "group type mappings in memory";
        negative_capacity: usize = "TEAM_NEGATIVE_CACHE_CAPACITY", "10000", between(0, 1_000_000_000),
            "unknown project tokens that are remembered";
        negative_ttl: Duration = "TEAM_NEGATIVE_CACHE_TTL_SECONDS", "30", seconds(1, 86400),
            "seconds for which an unknown project token is remembered";
        unknown_lookups_max: usize = "TEAM_LOOKUP_CONCURRENCY", "64", between(1, 100_000),
            "lookups of never-seen project tokens at once; more: 503";
        skip_database_fallback: bool = "SKIP_PG_TEAM_FALLBACK", "false", boolean,
            "do not look for teams in PostgreSQL when no cache has them";
        read_repair_ttl: Duration = "HYPERCACHE_READ_REPAIR_TTL_SECONDS", "600", seconds(0, 31536000),
            "seconds for which an entry found in a lower tier is written back to Redis; 0: not written";
        cohort_monitor_interval: Duration = "COHORT_CACHE_MONITOR_INTERVAL_SECS", "30", seconds(1, 86400),
            "seconds between reports of the cohort cache";
        team_cache_ttl: Duration = "TEAM_CACHE_TTL_SECONDS", "432000", seconds(0, 31536000),
            "seconds; accepted and without effect, entries are written by Django";
        flags_cache_ttl: Duration = "FLAGS_CACHE_TTL_SECONDS", "432000", seconds(0, 31536000),
            "seconds; accepted and without effect, entries are written by Django";
    }
}

settings! {
    /// Evaluation.
    EvaluationSettings {
        parallel_threshold: usize = "PARALLEL_EVAL_THRESHOLD", "0", between(0, 1_000_000),
            "flags in a stage from which on one request is evaluated on several threads; 0: never";
        parallel_requests_max: usize = "MAX_CONCURRENT_BATCH_EVALS", "0", between(0, 100_000),
            "requests evaluated on several threads at once; 0: chosen from the number of threads";
        parallel_wait: Duration = "RAYON_SEMAPHORE_TIMEOUT_MS", "250", milliseconds(0, 600000),
            "milliseconds that such a request waits for its turn; then 504";
        geoip_path: Option<PathBuf> = "MAXMIND_DB_PATH", "share/GeoLite2-City.mmdb", optional_path,
            "MaxMind City database; absent at the default path: a warning, no locations; set and unusable: no start; empty: no locations";
    }
}

settings! {
    /// Experience continuity.
    ContinuitySettings {
        optimize_lookups: bool = "OPTIMIZE_EXPERIENCE_CONTINUITY_LOOKUPS", "true", boolean,
            "skip lookups that cannot change an answer";
        skip_writes: bool = "SKIP_WRITES", "false", boolean,
            "write nothing: a read-only instance";
    }
}

settings! {
    /// `/flags/definitions` (`http.md` 13.6).
    DefinitionsSettings {
        default_rate_per_minute: u32 = "FLAG_DEFINITIONS_DEFAULT_RATE_PER_MINUTE", "600", between(1, u32::MAX),
            "requests a minute and team";
        rate_limits: TeamRates = "FLAG_DEFINITIONS_RATE_LIMITS", "", TeamRates::parse,
            "JSON object from team id to rate, such as {\"7\": \"1200/minute\"}";
        local_eval_rate_limits: TeamRates = "LOCAL_EVAL_RATE_LIMITS", "", TeamRates::parse,
            "the later name of FLAG_DEFINITIONS_RATE_LIMITS, used when that is empty";
        conditional_rate_per_minute: u32 = "FLAG_DEFINITIONS_CONDITIONAL_RATE_PER_MINUTE", "6000", between(1, u32::MAX),
            "requests a minute and team that carry If-None-Match";
        conditional_rate_limits: TeamRates = "LOCAL_EVAL_CONDITIONAL_RATE_LIMITS", "", TeamRates::parse,
            "JSON object from team id to the rate of such requests";
        unlimited_teams: TeamSet = "RATE_LIMITING_ALLOW_LIST_TEAMS", "", TeamSet::parse,
            "teams whose definitions requests are never limited: ids and ranges such as 1,5,10:20";
        log_only: bool = "FLAG_DEFINITIONS_RATE_LIMIT_LOG_ONLY", "false", boolean,
            "count and log instead of refusing";
        auth_token_ttl: Duration = "AUTH_TOKEN_CACHE_TTL_SECONDS", "300", seconds(0, 86400),
            "seconds for which a checked credential is remembered, 60 at most: as long a revoked one may go on working";
        auth_lookups_max: usize = "AUTH_LOOKUP_CONCURRENCY", "256", between(1, 10_000),
            "lookups of never-seen credentials at once, waiting ones among them; more: 503";
        feed_capacity_bytes: usize = "FLAG_DEFINITIONS_FEED_CAPACITY_BYTES", "134217728", between(0, 1_099_511_627_776),
            "bytes of definitions for SDKs in memory";
        self_heal: bool = "FLAG_DEFINITIONS_SELF_HEAL_ENABLED", "true", boolean,
            "ask Django to build definitions that no cache has";
        legacy_key_hashes: bool = "PERSONAL_API_KEY_LEGACY_HASHES", "false", boolean,
            "accept personal API keys stored as PBKDF2 hashes; costs CPU an attempt";
    }
}

settings! {
    /// Billing limits and usage counts.
    QuotaSettings {
        cache_ttl: Duration = "BILLING_LIMITER_CACHE_TTL_SECS", "5", seconds(1, 86400),
            "seconds after which billing limits are read again";
        session_replay_check: bool = "FLAGS_SESSION_REPLAY_QUOTA_CHECK", "false", boolean,
            "look at the recordings quota in configuration fields";
        flush_interval: Duration = "FLAGS_BILLING_FLUSH_INTERVAL_MS", "10000", milliseconds(1, 3600000),
            "milliseconds between writes of usage counts";
        pending_entries_max: usize = "FLAGS_BILLING_MAX_PENDING_ENTRIES", "500000", between(1, 100_000_000),
            "usage counts held back while Redis is away";
        flush_batch: usize = "FLAGS_BILLING_PER_FLUSH_BATCH_SIZE", "200", between(1, 100_000),
            "commands a write of usage counts";
        shutdown_flush_timeout: Duration = "FLAGS_BILLING_SHUTDOWN_FLUSH_TIMEOUT_MS", "15000", milliseconds(0, 600000),
            "milliseconds for the last write of usage counts";
    }
}

settings! {
    /// PostgreSQL.
    DatabaseSettings {
        write_url: Secret = "WRITE_DATABASE_URL", "postgres://posthog:posthog@localhost:5432/posthog", postgres_url,
            "main database";
        read_url: Secret = "READ_DATABASE_URL", "postgres://posthog:posthog@localhost:5432/posthog", postgres_url,
            "replica of the main database";
        persons_write_url: Option<Secret> = "PERSONS_WRITE_DATABASE_URL", "", optional_postgres_url,
            "persons database; empty: the main one";
        persons_read_url: Option<Secret> = "PERSONS_READ_DATABASE_URL", "", optional_postgres_url,
            "replica of the persons database; empty: the main one";
        connections_max: u32 = "MAX_PG_CONNECTIONS", "10", between(1, 10_000),
            "connections a pool";
        non_persons_reader_connections_min: u32 = "MIN_NON_PERSONS_READER_CONNECTIONS", "0", between(0, 10_000),
            "connections kept open, replica of the main database";
        non_persons_writer_connections_min: u32 = "MIN_NON_PERSONS_WRITER_CONNECTIONS", "0", between(0, 10_000),
            "connections kept open, main database";
        persons_reader_connections_min: u32 = "MIN_PERSONS_READER_CONNECTIONS", "0", between(0, 10_000),
            "connections kept open, replica of the persons database";
        persons_writer_connections_min: u32 = "MIN_PERSONS_WRITER_CONNECTIONS", "0", between(0, 10_000),
            "connections kept open, persons database";
        acquire_timeout: Duration = "ACQUIRE_TIMEOUT_SECS", "5", seconds(1, 600),
            "seconds that a query waits for a connection";
        idle_timeout: Option<Duration> = "IDLE_TIMEOUT_SECS", "300", optional_seconds(86400),
            "seconds after which an idle connection is closed; 0: never";
        test_before_acquire: bool = "TEST_BEFORE_ACQUIRE", "true", boolean,
            "test a connection before it is used; costs a round trip";
        non_persons_reader_statement_timeout: Option<Duration> = "NON_PERSONS_READER_STATEMENT_TIMEOUT_MS", "2000", optional_milliseconds(600_000),
            "milliseconds a statement, replica of the main database; 0: no limit";
        persons_reader_statement_timeout: Option<Duration> = "PERSONS_READER_STATEMENT_TIMEOUT_MS", "3000", optional_milliseconds(600_000),
            "milliseconds a statement, replica of the persons database; 0: no limit";
        writer_statement_timeout: Option<Duration> = "WRITER_STATEMENT_TIMEOUT_MS", "3000", optional_milliseconds(600_000),
            "milliseconds a statement, both writers; 0: no limit";
        monitor_interval: Duration = "DB_MONITOR_INTERVAL_SECS", "30", seconds(1, 86400),
            "seconds between reports of the pools";
        warn_utilization: f64 = "DB_POOL_WARN_UTILIZATION", "0.8", between(0.0, 1.0),
            "share of connections in use from which on a pool is warned about";
    }
}

settings! {
    /// Redis.
    RedisSettings {
        url: Secret = "REDIS_URL", "redis://localhost:6379/", redis_url,
            "shared Redis";
        reader_url: Option<Secret> = "REDIS_READER_URL", "", optional_redis_url,
            "its replica; empty: REDIS_URL";
        flags_url: Option<Secret> = "FLAGS_REDIS_URL", "", optional_redis_url,
            "dedicated Redis of the flags service; empty: none";
        flags_reader_url: Option<Secret> = "FLAGS_REDIS_READER_URL", "", optional_redis_url,
            "its replica; empty: FLAGS_REDIS_URL";
        flags_enabled: bool = "FLAGS_REDIS_ENABLED", "false", boolean,
            "read from the dedicated Redis";
        definitions_dedicated_enabled: bool = "FLAG_DEFINITIONS_DEDICATED_REDIS_ENABLED", "false", boolean,
            "read the definitions endpoint's entries from the dedicated Redis";
        response_timeout: Option<Duration> = "REDIS_RESPONSE_TIMEOUT_MS", "100", optional_milliseconds(30_000),
            "milliseconds a command; 0: no limit";
        connection_timeout: Option<Duration> = "REDIS_CONNECTION_TIMEOUT_MS", "5000", optional_milliseconds(60_000),
            "milliseconds to connect; 0: no limit";
        client_tracking: bool = "CLIENT_TRACKING_ENABLED", "true", boolean,
            "let Redis announce changed definitions; false: changes are seen when definitions are refreshed by age";
        retry_count: u32 = "REDIS_CLIENT_RETRY_COUNT", "3", between(0, 100),
            "attempts to connect at start";
        compression_enabled: bool = "REDIS_COMPRESSION_ENABLED", "false", boolean,
            "compress with zstd what is written";
    }
}

settings! {
    /// S3.
    ObjectStorageSettings {
        bucket: String = "OBJECT_STORAGE_BUCKET", "posthog", text,
            "bucket";
        region: String = "OBJECT_STORAGE_REGION", "us-east-1", text,
            "region";
        endpoint: Option<String> = "OBJECT_STORAGE_ENDPOINT", "", optional_place,
            "endpoint; empty: the region's own";
    }
}

settings! {
    /// Cookieless identities.
    CookielessSettings {
        disabled: bool = "COOKIELESS_DISABLED", "false", boolean,
            "treat $posthog_cookieless as an ordinary distinct id";
        force_stateless: bool = "COOKIELESS_FORCE_STATELESS", "false", boolean,
            "never use stateful mode";
        identifies_ttl: Duration = "COOKIELESS_IDENTIFIES_TTL_SECONDS", "345600", seconds(1, 31536000),
            "seconds for which identify counts are kept";
        salt_ttl: Duration = "COOKIELESS_SALT_TTL_SECONDS", "345600", seconds(1, 31536000),
            "seconds for which a day's salt is kept";
        redis_host: Option<String> = "COOKIELESS_REDIS_HOST", "", optional_text,
            "host of the Redis that holds salts; empty: REDIS_URL";
        redis_port: u16 = "COOKIELESS_REDIS_PORT", "6379", between(1, 65535),
            "its port";
    }
}

settings! {
    /// Configuration fields in answers (`http.md` 11).
    RemoteConfigSettings {
        analytics_endpoint: String = "NEW_ANALYTICS_CAPTURE_ENDPOINT", "/i/v0/e/", text,
            "value of analytics.endpoint in configuration that is built here; empty: no analytics";
        analytics_excluded_teams: TeamSet = "NEW_ANALYTICS_CAPTURE_EXCLUDED_TEAM_IDS", "none", TeamSet::parse,
            "teams without analytics in it";
        elements_chain_excluded_teams: TeamSet = "ELEMENT_CHAIN_AS_STRING_EXCLUDED_TEAMS", "none", TeamSet::parse,
            "teams without elementsChainAsString in it";
    }
}

settings! {
    /// Logs, traces, metrics, health.
    TelemetrySettings {
        debug: bool = "DEBUG", "false", boolean,
            "human-readable log instead of JSON";
        log_level: LogLevel = "LOG_LEVEL", "info", log_level,
            "least level that is logged: error, warn, info, debug, or off; requests are info, and DEBUG means debug";
        log_sample_rate: f64 = "LOG_SAMPLE_RATE", "1", between(0.0, 1.0),
            "share of the successful requests that are logged; failed ones always are";
        log_queue_max: usize = "LOG_QUEUE_RECORDS", "4096", between(64, 1_000_000),
            "log lines that may wait to be written, 1.5 KB each; more are dropped and counted";
        enable_metrics: bool = "ENABLE_METRICS", "false", boolean,
            "record metrics and serve them at /metrics";
        tracked_teams: TeamSet = "TEAM_IDS_TO_TRACK", "all", TeamSet::parse,
            "teams that metrics name: all, none, or ids and ranges such as 1,5,10:20";
        health_interval: Duration = "HEALTH_CHECK_INTERVAL_SECS", "30", seconds(1, 3600),
            "seconds without a heartbeat after which /_liveness answers 500";
        otlp_endpoint: Option<String> = "OTEL_EXPORTER_OTLP_ENDPOINT", "", otlp::optional_endpoint,
            "collector of traces; empty: off";
        otlp_protocol: OtlpProtocol = "OTEL_EXPORTER_OTLP_PROTOCOL", "", otlp::protocol,
            "grpc or http/protobuf; empty: http/protobuf on port 4318, grpc on any other";
        otlp_headers: Option<Secret> = "OTEL_EXPORTER_OTLP_HEADERS", "", otlp::secret_pairs,
            "headers of every export, name=value,name=value with percent-encoded values";
        otel_resource_attributes: Pairs = "OTEL_RESOURCE_ATTRIBUTES", "", otlp::pairs,
            "what all spans share, name=value,name=value with percent-encoded values";
        traces_sample_rate: f64 = "OTEL_TRACES_SAMPLER_ARG", "0.001", between(0.0, 1.0),
            "share of the requests without a traceparent that are traced; others as their sender says";
        otel_service_name: String = "OTEL_SERVICE_NAME", "posthog-feature-flags", text,
            "service name in traces";
        otel_export_timeout: Duration = "OTEL_EXPORT_TIMEOUT_SECS", "3", seconds(1, 600),
            "seconds an export, and for the last ones at shutdown";
        otel_log_level: LogLevel = "OTEL_LOG_LEVEL", "info", otlp::span_level,
            "least level of exported spans, all of which are info: off, error and warn export none";
    }
}

settings! {
    /// A sample of requests in a file, for `replay`.
    RecorderSettings {
        file: Option<PathBuf> = "RECORDER_FILE", "", optional_path,
            "file to record requests into, never one that exists; empty: nothing is recorded";
        sample_rate: f64 = "RECORDER_SAMPLE_RATE", "0.01", between(0.0, 1.0),
            "share of the evaluation requests that are recorded";
        bytes_max: u64 = "RECORDER_BYTES_MAX", "104857600", between(1, 1_099_511_627_776),
            "bytes after which the recording ends by itself";
        time_max: Duration = "RECORDER_SECONDS_MAX", "600", seconds(1, 604_800),
            "seconds after which it does";
        queue_bytes_max: usize = "RECORDER_QUEUE_BYTES", "8388608", between(4096, 1_073_741_824),
            "bytes of requests that may wait to be written; more are dropped and counted";
        redaction: Redaction = "RECORDER_REDACTION", "unused", redaction,
            "what is hashed: none, tokens, unused (and what no flag of the team looks at), all";
        client_address: bool = "RECORDER_CLIENT_ADDRESS", "false", boolean,
            "record addresses of clients";
        hash_key: Option<Secret> = "RECORDER_HASH_KEY", "", optional_secret,
            "key of the hashes; empty: a random one that is kept nowhere";
    }
}
