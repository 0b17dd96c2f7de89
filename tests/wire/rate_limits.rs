//! The limiters of `POST /flags` as clients see them (`http.md` 8.1, 12.2, 15, 22.5). Buckets here regain one request
//! in a thousand seconds, so no test depends on its own speed.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use flate2_free::gzip;

use crate::client::{Answer, Client};
use crate::counters::Counters;
use crate::harness::Harness;

const TOKEN: &str = "phc_sdk_fixture_4242";
const JSON: &str = "content-type: application/json";
const REFUSED: &str =
    r#"{"type":"validation_error","code":"rate_limit_exceeded","detail":"Rate limit exceeded","attr":null}"#;
const WARNING: &str = "x-posthog-rate-limit-warning";

const BY_IP: &[(&str, &str)] = &[
    ("FLAGS_IP_RATE_LIMIT_ENABLED", "true"),
    ("FLAGS_IP_RATE_LIMIT_LOG_ONLY", "false"),
    ("FLAGS_IP_BURST_SIZE", "2"),
    ("FLAGS_IP_REPLENISH_RATE", "0.001"),
];
const BY_TOKEN: &[(&str, &str)] = &[
    ("FLAGS_RATE_LIMIT_ENABLED", "true"),
    ("FLAGS_RATE_LIMIT_LOG_ONLY", "false"),
    ("FLAGS_BUCKET_CAPACITY", "2"),
    ("FLAGS_BUCKET_REPLENISH_RATE", "0.001"),
];
