//! The fields of a request's line (`http.md` 18), in the order of that table. What is absent is left out.

use std::borrow::Cow;
use std::time::Duration;

use super::ReadAgent;
use super::queue::Record;
use super::secrets;
use crate::telemetry::note::{RequestNote, TeamCache, TextField};

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Field<'r> {
    Text(Cow<'r, str>),
    Integer(i64),
    Boolean(bool),
    /// Milliseconds, with microseconds behind the point.
    Milliseconds(Duration),
}

/// Names and values.
pub(super) struct Line<'r> {
    pub fields: Vec<(&'static str, Field<'r>)>,
}

/// `distinct_id` of a request that evaluates nothing.
const DISABLED: &str = "disabled";

impl<'r> Line<'r> {
    pub fn of(record: &'r Record, read_agent: ReadAgent) -> Self {
        let mut line = Self {
            fields: Vec::with_capacity(40),
        };
        let note = &record.note;
        line.identity(note);
        line.client(note, read_agent);
        line.result(record);
        line.sources(note);
        line.counts(note);
        line.times(note);
        line.trace(note);
        line
    }

    fn add(&mut self, name: &'static str, value: Option<Field<'r>>) {
        if let Some(value) = value {
            self.fields.push((name, value));
        }
    }

    fn text(&mut self, name: &'static str, text: Option<&'r str>) {
        self.add(name, text.map(|text| Field::Text(secrets(text))));
    }

    fn integer(&mut self, name: &'static str, value: impl Into<i64>) {
        self.add(name, Some(Field::Integer(value.into())));
    }

    fn boolean(&mut self, name: &'static str, value: bool) {
        self.add(name, Some(Field::Boolean(value)));
    }

    fn time(&mut self, name: &'static str, time: Option<Duration>) {
        self.add(name, time.map(Field::Milliseconds));
    }

    fn identity(&mut self, note: &'r RequestNote) {
        let id = note
            .request_id
            .map(|id| String::from_utf8_lossy(&id).into_owned());
        self.add("request_id", id.map(|id| Field::Text(id.into())));
        self.add("team_id", note.team_id.map(|id| Field::Integer(id.into())));
        let texts = &note.texts;
        if note.flags_disabled {
            self.text("distinct_id", Some(DISABLED));
        } else {
            self.text("distinct_id", texts.get(TextField::DistinctId));
        }
        self.text("device_id", texts.get(TextField::DeviceId));
        self.text("anon_distinct_id", texts.get(TextField::AnonDistinctId));
    }

    fn client(&mut self, note: &'r RequestNote, read_agent: ReadAgent) {
        let ip = note.ip.map(|ip| Field::Text(ip.to_string().into()));
        self.add("ip", ip);
        let agent = note.texts.get(TextField::UserAgent);
        let (lib, version) = read_agent(agent.unwrap_or_default());
        self.text("user_agent", agent);
        self.text("lib", lib);
        self.text("lib_version", version.or(note.texts.get(TextField::LibVersion)));
        let version = note.api_version.map(|version| Field::Integer(version.into()));
        self.add("api_version", version);
    }

    fn result(&mut self, record: &'r Record) {
        let (note, ending) = (&record.note, &record.ending);
        self.integer("http_status", ending.status);
        self.text("error_code", ending.error_code);
        self.time("duration_ms", Some(ending.took));
        self.integer("flags_evaluated", note.flags_evaluated);
        self.integer("flags_errored", note.flags_errored);
        self.boolean("flags_disabled", note.flags_disabled);
        self.boolean("quota_limited", note.quota_limited);
        self.boolean("rate_limited", note.rate_limited);
        self.boolean("rate_limit_warned", note.rate_limit_warned);
        if note.evaluated {
            let kind = if note.parallel { "parallel" } else { "sequential" };
            self.text("evaluation_type", Some(kind));
            self.integer("flags_experience_continuity", note.continuity_flags);
            self.integer("flags_device_id_bucketing", note.device_flags);
            self.text("hash_key_override_status", note.gathering.overrides.name());
            self.integer("dependency_graph_errors", note.graph_errors);
        }
    }

    fn sources(&mut self, note: &'r RequestNote) {
        let source = note.team_cache.map(|cache| match cache {
            TeamCache::Held => "memory",
            TeamCache::Loaded => note.tier.unwrap_or("load"),
        });
        self.text("team_cache_source", source);
        self.text("flags_cache_source", source);
    }

    fn counts(&mut self, note: &'r RequestNote) {
        if !note.evaluated {
            return;
        }
        let gathering = &note.gathering;
        let asked = gathering.facts.is_some();
        let one_if = |condition: bool| u32::from(asked && condition);
        self.integer("db_property_fetches", u32::from(asked));
        self.integer("person_queries", one_if(gathering.person));
        self.integer("group_queries", one_if(gathering.groups > 0));
        self.integer("static_cohort_queries", one_if(gathering.static_cohorts > 0));
        self.integer("property_cache_hits", u32::from(!asked));
        self.integer("property_cache_misses", u32::from(asked));
    }

    fn times(&mut self, note: &'r RequestNote) {
        let gathering = &note.gathering;
        let if_asked = |condition: bool| gathering.facts.filter(|_| condition);
        self.time("person_query_time_ms", if_asked(gathering.person));
        self.time("group_query_time_ms", if_asked(gathering.groups > 0));
        self.time("cohort_query_time_ms", if_asked(gathering.static_cohorts > 0));
        self.time("queue_time_ms", note.queued);
        self.time("pre_handler_duration_ms", note.before_handler);
        self.time("concurrency_limit_wait_ms", Some(note.place_wait));
    }

    /// Beyond that table, and only of a traced request: what OpenTelemetry's log data model calls these.
    fn trace(&mut self, note: &RequestNote) {
        if let Some(ids) = note.trace {
            let hex = |text: String| Some(Field::Text(Cow::Owned(text)));
            self.add("trace_id", hex(format!("{:032x}", ids.trace_id)));
            self.add("span_id", hex(format!("{:016x}", ids.span_id)));
        }
    }
}
