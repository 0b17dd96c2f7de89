//! A request object, written anew with hashes in the place of what must not be seen.

use super::super::KeyedHash;
use super::found::Found;
use crate::config::Redaction;
use crate::engine::RequestRuntime;
use crate::engine::value::{Array, Object, PropertyValue, write_json_string};
use crate::snapshot::ProjectSnapshot;
use crate::telemetry::log::secrets;
use crate::wire::request::FlagRequest;

/// Stands for a person who is not named; a word of the protocol and no id (`http.md` 8.3).
const COOKIELESS: &str = "$posthog_cookieless";

/// Writes one body.
pub(super) struct BodyWriter<'a> {
    pub redaction: Redaction,
    pub hash: &'a KeyedHash,
    /// `None`: no team is known by the token, so that nothing is known to be looked at.
    pub team: Option<&'a ProjectSnapshot>,
    pub found: &'a mut Found,
}

/// An object that is being written.
struct Fields {
    out: String,
}

impl Fields {
    fn new() -> Self {
        Self { out: "{".to_owned() }
    }

    /// Begins a field; its value is to be written next.
    fn name(&mut self, name: &str) -> &mut String {
        if self.out.len() > 1 {
            self.out.push(',');
        }
        write_json_string(name, &mut self.out);
        self.out.push(':');
        &mut self.out
    }

    fn text(&mut self, name: &str, value: &str) {
        write_json_string(value, self.name(name));
    }

    fn end(mut self) -> String {
        self.out.push('}');
        self.out
    }
}

impl BodyWriter<'_> {
    /// The body as plain JSON.
    pub fn write(&mut self, request: &FlagRequest<'_>) -> String {
        let mut fields = Fields::new();
        if let Some(token) = request.token {
            let token = if token.is_empty() {
                String::new()
            } else {
                self.hash.token(token)
            };
            fields.text("token", &token);
        }
        let (continuity, device) = self.team.map_or((false, false), |team| {
            (team.continuity_flags > 0, team.device_flags > 0)
        });
        // Nearly every flag is rolled out by it, and it names the stored person.
        let by_distinct_id = self.team.is_some();
        self.id(&mut fields, "distinct_id", request.distinct_id, by_distinct_id);
        self.id(
            &mut fields,
            "$anon_distinct_id",
            request.anon_distinct_id,
            continuity,
        );
        self.id(&mut fields, "$device_id", request.device_id, device || continuity);
        self.id(
            &mut fields,
            "cookieless_hash_extra",
            request.cookieless_hash_extra,
            request.distinct_id == Some(COOKIELESS),
        );
        if let Some(properties) = request.person_properties {
            let written = self.properties(properties, |team, name| {
                team.project.properties().get_person(name).is_some()
            });
            fields.name("person_properties").push_str(&written);
        }
        if let Some(groups) = request.groups {
            let written = self.groups(groups);
            fields.name("groups").push_str(&written);
        }
        if let Some(groups) = request.group_properties {
            let written = self.group_properties(groups);
            fields.name("group_properties").push_str(&written);
        }
        self.lists(&mut fields, request);
        if let Some(timezone) = request.timezone {
            let text = if self.redaction == Redaction::All {
                self.hash.digits("timezone", timezone)
            } else {
                secrets(timezone).into_owned()
            };
            fields.text("timezone", &text);
        }
        if let Some(runtime) = request.evaluation_runtime {
            fields.text(
                "evaluation_runtime",
                match runtime {
                    RequestRuntime::Client => "client",
                    RequestRuntime::Server => "server",
                    _ => "all",
                },
            );
        }
        for (name, value) in [
            ("geoip_disable", request.geoip_disable),
            ("disable_flags", request.disable_flags),
        ] {
            if value {
                fields.name(name).push_str("true");
            }
        }
        fields.end()
    }

    /// Keys of flags are configuration, unless no flag has them.
    fn lists(&mut self, fields: &mut Fields, request: &FlagRequest<'_>) {
        let redaction = self.redaction;
        let team = self.team;
        let hash = self.hash;
        let known = |key: &str| {
            redaction == Redaction::Tokens || team.is_some_and(|team| team.project.flag_by_key(key).is_some())
        };
        if let Some(keys) = request.flag_keys {
            write_texts(fields.name("flag_keys"), keys, |key| {
                if known(key) {
                    secrets(key).into_owned()
                } else {
                    hash.digits("flag", key)
                }
            });
        }
        if let Some(contexts) = request.evaluation_contexts {
            write_texts(fields.name("evaluation_contexts"), contexts, |name| {
                if redaction == Redaction::All {
                    hash.digits("context", name)
                } else {
                    secrets(name).into_owned()
                }
            });
        }
    }

    /// An id. `in_rollout`: answers depend on it.
    fn id(&mut self, fields: &mut Fields, name: &str, value: Option<&str>, in_rollout: bool) {
        let Some(value) = value else { return };
        if value == COOKIELESS || value.is_empty() {
            return fields.text(name, value);
        }
        let kept = self.keeps(in_rollout);
        if in_rollout {
            self.found.id(name, kept);
        }
        if kept {
            fields.text(name, value);
        } else {
            // One kind for all of them: ids that are equal stay equal.
            fields.text(name, &self.hash.digits("id", value));
        }
    }

    fn groups(&mut self, groups: Object<'_>) -> String {
        let mut fields = Fields::new();
        for (group, key) in groups.iter() {
            let used = self.team.is_some_and(|team| {
                let mut tables = team.project.properties().groups().iter();
                tables.any(|table| table.name.as_deref() == Some(group))
            });
            let kept = self.keeps(used);
            if used {
                self.found.id(&format!("group {group}"), kept);
            }
            let out = fields.name(&secrets(group));
            if kept {
                key.write_json(out);
            } else {
                self.write_hashed(group, key, out);
            }
        }
        fields.end()
    }

    fn group_properties(&mut self, groups: Object<'_>) -> String {
        let mut fields = Fields::new();
        for (group, properties) in groups.iter() {
            let PropertyValue::Object(properties) = properties else {
                // Null, or an empty array, which stand for an empty object.
                properties.write_json(fields.name(&secrets(group)));
                continue;
            };
            let written = self.properties(properties, |team, name| {
                let mut tables = team.project.properties().groups().iter();
                tables.any(|table| table.name.as_deref() == Some(group) && table.get(name).is_some())
            });
            fields.name(&secrets(group)).push_str(&written);
        }
        fields.end()
    }

    fn properties(
        &mut self,
        properties: Object<'_>,
        looks_at: impl Fn(&ProjectSnapshot, &str) -> bool,
    ) -> String {
        let mut fields = Fields::new();
        for (name, value) in properties.iter() {
            let used = self.team.is_some_and(|team| looks_at(team, name));
            let kept = self.keeps(used);
            if used {
                self.found.property(name, kept);
            }
            let out = fields.name(&secrets(name));
            if kept {
                value.write_json(out);
            } else {
                self.write_hashed(name, value, out);
            }
        }
        fields.end()
    }

    /// Whether a value stays as it is. `used`: some answer depends on it.
    fn keeps(&self, used: bool) -> bool {
        match self.redaction {
            Redaction::None | Redaction::Tokens => true,
            Redaction::Unused => used,
            Redaction::All => false,
        }
    }

    /// Something else of the same type. Null stays: it says that there is nothing.
    fn write_hashed(&self, kind: &str, value: PropertyValue<'_>, out: &mut String) {
        match value {
            PropertyValue::Null => out.push_str("null"),
            PropertyValue::Bool(value) => {
                let bit = self.hash.number(kind, if value { "true" } else { "false" }) & 1 == 1;
                out.push_str(if bit { "true" } else { "false" });
            }
            PropertyValue::I64(_) | PropertyValue::U64(_) | PropertyValue::F64(_) => {
                let number = self.hash.number(kind, value.text(&mut String::new()));
                out.push_str(itoa::Buffer::new().format(number));
            }
            PropertyValue::Array(array) => {
                out.push('[');
                for (index, element) in array.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    self.write_hashed(kind, element, out);
                }
                out.push(']');
            }
            // The keys of an object may be data, too.
            PropertyValue::Str(_) | PropertyValue::Object(_) => {
                write_json_string(&self.hash.digits(kind, value.text(&mut String::new())), out);
            }
        }
    }
}

fn write_texts(out: &mut String, texts: Array<'_>, change: impl Fn(&str) -> String) {
    out.push('[');
    let texts = texts.iter().filter_map(|text| match text {
        PropertyValue::Str(text) => Some(text),
        _ => None,
    });
    for (index, text) in texts.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_json_string(&change(text), out);
    }
    out.push(']');
}
