//! What a traced request says of its commands, by OpenTelemetry's conventions for Redis: their names, never keys or values.

use std::borrow::Cow;

use redis::{Arg, Cmd, Pipeline};

use super::RedisError;
use crate::span::{self, OpenSpan};

/// Begins the span of a command, if the request is traced. `server`: as in metrics and logs.
pub(super) fn command(server: &'static str, command: &Cmd) -> Option<OpenSpan> {
    begin(server, || name(command).into())
}

/// Begins the span of a pipeline, if the request is traced.
pub(super) fn pipeline(server: &'static str, pipeline: &Pipeline) -> Option<OpenSpan> {
    let first = || pipeline.cmd_iter().next().map_or("", name);
    let kind = if pipeline.is_transaction() {
        "MULTI"
    } else {
        "PIPELINE"
    };
    let span = begin(server, || format!("{kind} {}", first()).into())?;
    Some(span.with("db.operation.batch.size", pipeline.len() as i64))
}

fn begin(server: &'static str, name: impl FnOnce() -> Cow<'static, str>) -> Option<OpenSpan> {
    let scope = span::current()?;
    let name = name();
    let span = scope.open(span::Kind::Client, name.clone());
    Some(
        span.with("db.system.name", "redis")
            .with("db.operation.name", span::Value::Text(name))
            .with("feature_flags.server", server),
    )
}

/// Commands that are sent here; a name is never taken from what is sent.
const NAMES: [&str; 17] = [
    "GET",
    "MGET",
    "SET",
    "DEL",
    "EXISTS",
    "PTTL",
    "ZADD",
    "ZREM",
    "ZRANGEBYSCORE",
    "SCARD",
    "HINCRBY",
    "EVAL",
    "EVALSHA",
    "PING",
    "INFO",
    "CLIENT",
    "TIME",
];

fn name(command: &Cmd) -> &'static str {
    let Some(Arg::Simple(name)) = command.args_iter().next() else {
        return "other";
    };
    let known = NAMES
        .into_iter()
        .find(|known| known.as_bytes().eq_ignore_ascii_case(name));
    known.unwrap_or("other")
}

/// What a span says of a failure; also label `error` of metrics.
pub(super) fn code(error: &RedisError) -> &'static str {
    match error {
        RedisError::Unavailable(_) => "unavailable",
        RedisError::Timeout => "timeout",
        RedisError::Denied(_) => "denied",
        RedisError::Reply(_) => "reply",
        RedisError::Protocol(_) => "protocol",
    }
}
