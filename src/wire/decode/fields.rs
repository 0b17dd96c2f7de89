//! The request fields of a document, by their position on its tape (`http.md` 6.1).

use std::collections::HashMap;

use simd_json::{Node, StaticNode};

use crate::engine::RequestRuntime;
use crate::engine::value::{Array, Object, PropertyValue};
use crate::wire::request::FlagRequest;

/// A distinct id of more bytes is cut (`http.md` 7.3)
const DISTINCT_ID_BYTES_MAX: usize = 200;
/// to this many characters.
const DISTINCT_ID_CHARS_KEPT: usize = 200;

/// An object without entries, for the places where an empty array may stand for one.
static EMPTY_OBJECT: [Node<'static>; 1] = [Node::Object { len: 0, count: 0 }];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Token,
    DistinctId,
    GeoipDisable,
    /// What the Rust SDK sends for `geoip_disable`; anything but `true` is ignored, as other unknown fields are ([ours]).
    DisableGeoip,
    DisableFlags,
    PersonProperties,
    Groups,
    GroupProperties,
    AnonDistinctId,
    DeviceId,
    FlagKeys,
    Timezone,
    EvaluationContexts,
    EvaluationRuntime,
    CookielessHashExtra,
    IpAddress,
}

const FIELDS: usize = Field::IpAddress as usize + 1;

/// Which field a key names, and which of its spellings it is.
fn field(key: &str) -> Option<(Field, u8)> {
    Some(match key {
        "token" => (Field::Token, 0),
        "$token" => (Field::Token, 1),
        "api_key" => (Field::Token, 2),
        "distinct_id" => (Field::DistinctId, 0),
        "$distinct_id" => (Field::DistinctId, 1),
        "geoip_disable" => (Field::GeoipDisable, 0),
        "disable_geoip" => (Field::DisableGeoip, 0),
        "disable_flags" => (Field::DisableFlags, 0),
        "person_properties" => (Field::PersonProperties, 0),
        "$properties" => (Field::PersonProperties, 1),
        "groups" => (Field::Groups, 0),
        "$groups" => (Field::Groups, 1),
        "group_properties" => (Field::GroupProperties, 0),
        "$group_properties" => (Field::GroupProperties, 1),
        "anon_distinct_id" => (Field::AnonDistinctId, 0),
        "$anon_distinct_id" => (Field::AnonDistinctId, 1),
        "device_id" => (Field::DeviceId, 0),
        "$device_id" => (Field::DeviceId, 1),
        "flag_keys" => (Field::FlagKeys, 0),
        "flag_keys_to_evaluate" => (Field::FlagKeys, 1),
        "timezone" => (Field::Timezone, 0),
        "evaluation_contexts" => (Field::EvaluationContexts, 0),
        "evaluation_environments" => (Field::EvaluationContexts, 1),
        "evaluation_runtime" => (Field::EvaluationRuntime, 0),
        "cookieless_hash_extra" => (Field::CookielessHashExtra, 0),
        "ip_address" => (Field::IpAddress, 0),
        _ => return None,
    })
}

/// Where each field's value stands. Zero, the place of the document itself, means absent or null.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields([u32; FIELDS]);

impl Fields {
    /// Finds and checks all fields. `None` when the document is not an object, a field has the wrong
    /// type, or a field and its alias are both there. The last of identical keys counts.
    pub(super) fn find(nodes: &[Node<'_>]) -> Option<Self> {
        let Node::Object { len, .. } = nodes.first()? else {
            return None;
        };
        let mut at = [0_u32; FIELDS];
        let mut spellings = [0_u8; FIELDS];
        let mut position = 1;
        for _ in 0..*len {
            let Node::String(key) = nodes[position] else {
                return None;
            };
            let value = position + 1;
            if let Some((field, spelling)) = field(key) {
                let index = field as usize;
                if at[index] != 0 && spellings[index] != spelling {
                    return None;
                }
                at[index] = u32::try_from(value).ok()?;
                spellings[index] = spelling;
            }
            position = value + span(&nodes[value]);
        }
        for place in &mut at {
            if nodes[*place as usize] == Node::Static(StaticNode::Null) {
                *place = 0;
            }
        }
        let fields = Self(at);
        fields.are_valid(nodes).then_some(fields)
    }

    /// The request that `nodes`, the tape that was searched, holds; `number` as
    /// [`Fields::write_distinct_id_number`] wrote it.
    pub(super) fn request<'a>(&self, nodes: &'a [Node<'a>], number: &'a str) -> FlagRequest<'a> {
        let person_properties = self.object(nodes, Field::PersonProperties);
        FlagRequest {
            token: self.text(nodes, Field::Token),
            distinct_id: self.value(nodes, Field::DistinctId).map(|value| match value {
                PropertyValue::Str(text) => cut(text),
                _ => number,
            }),
            geoip_disable: self.flag(nodes, Field::GeoipDisable) || self.flag(nodes, Field::DisableGeoip),
            disable_flags: self.flag(nodes, Field::DisableFlags),
            person_properties,
            groups: self.object(nodes, Field::Groups),
            group_properties: self.object(nodes, Field::GroupProperties),
            anon_distinct_id: self.text(nodes, Field::AnonDistinctId),
            device_id: non_empty(self.text(nodes, Field::DeviceId))
                .or_else(|| device_id_of(person_properties?)),
            flag_keys: self.array(nodes, Field::FlagKeys),
            timezone: self.text(nodes, Field::Timezone),
            evaluation_contexts: self.array(nodes, Field::EvaluationContexts),
            evaluation_runtime: self.text(nodes, Field::EvaluationRuntime).map(runtime),
            cookieless_hash_extra: self.text(nodes, Field::CookielessHashExtra),
        }
    }

    /// Appends the JSON text of a distinct id that is a number; nothing for any other.
    pub(super) fn write_distinct_id_number(&self, nodes: &[Node<'_>], out: &mut String) {
        match self.node(nodes, Field::DistinctId) {
            Some(Node::Static(StaticNode::I64(value))) => out.push_str(itoa::Buffer::new().format(*value)),
            Some(Node::Static(StaticNode::U64(value))) => out.push_str(itoa::Buffer::new().format(*value)),
            Some(Node::Static(StaticNode::F64(value))) => {
                out.push_str(zmij::Buffer::new().format_finite(*value));
            }
            _ => {}
        }
    }

    fn are_valid(&self, nodes: &[Node<'_>]) -> bool {
        let holds = |field, accepts: fn(&[Node<'_>]) -> bool| {
            let at = self.0[field as usize] as usize;
            at == 0 || accepts(&nodes[at..])
        };
        use Field as F;
        holds(F::DistinctId, is_text_or_number)
            && [F::GeoipDisable, F::DisableFlags]
                .iter()
                .all(|field| holds(*field, is_bool))
            && [
                F::Token,
                F::AnonDistinctId,
                F::DeviceId,
                F::Timezone,
                F::EvaluationRuntime,
                F::CookielessHashExtra,
                F::IpAddress,
            ]
            .iter()
            .all(|field| holds(*field, is_text))
            && [F::PersonProperties, F::Groups]
                .iter()
                .all(|field| holds(*field, is_object))
            && holds(F::GroupProperties, is_object_of_objects)
            && [F::FlagKeys, F::EvaluationContexts]
                .iter()
                .all(|field| holds(*field, is_list_of_texts))
    }

    fn node<'n, 'a>(&self, nodes: &'n [Node<'a>], field: Field) -> Option<&'n Node<'a>> {
        let at = self.0[field as usize] as usize;
        (at != 0).then(|| &nodes[at])
    }

    fn value<'a>(&self, nodes: &'a [Node<'a>], field: Field) -> Option<PropertyValue<'a>> {
        let at = self.0[field as usize] as usize;
        (at != 0).then(|| PropertyValue::from_tape(&nodes[at..]))
    }

    fn text<'a>(&self, nodes: &'a [Node<'a>], field: Field) -> Option<&'a str> {
        match self.node(nodes, field)? {
            Node::String(text) => Some(text),
            _ => None,
        }
    }

    fn flag(&self, nodes: &[Node<'_>], field: Field) -> bool {
        self.node(nodes, field) == Some(&Node::Static(StaticNode::Bool(true)))
    }

    fn object<'a>(&self, nodes: &'a [Node<'a>], field: Field) -> Option<Object<'a>> {
        let value = match self.value(nodes, field)? {
            PropertyValue::Array(_) => PropertyValue::from_tape(&EMPTY_OBJECT),
            value => value,
        };
        match value {
            PropertyValue::Object(object) => Some(object),
            _ => None,
        }
    }

    fn array<'a>(&self, nodes: &'a [Node<'a>], field: Field) -> Option<Array<'a>> {
        match self.value(nodes, field)? {
            PropertyValue::Array(array) => Some(array),
            _ => None,
        }
    }
}

fn is_text(nodes: &[Node<'_>]) -> bool {
    matches!(nodes[0], Node::String(_))
}

fn is_bool(nodes: &[Node<'_>]) -> bool {
    matches!(nodes[0], Node::Static(StaticNode::Bool(_)))
}

fn is_text_or_number(nodes: &[Node<'_>]) -> bool {
    is_text(nodes)
        || matches!(nodes[0], Node::Static(node) if !matches!(node, StaticNode::Bool(_) | StaticNode::Null))
}

/// An object, or the empty array that PHP writes for one ([ours]).
fn is_object(nodes: &[Node<'_>]) -> bool {
    matches!(nodes[0], Node::Object { .. } | Node::Array { len: 0, .. })
}

fn is_object_of_objects(nodes: &[Node<'_>]) -> bool {
    if !is_object(nodes) {
        return false;
    }
    if entries(nodes).all(|(_, value)| is_group(&nodes[value..])) {
        return true;
    }
    // Only the last of equal keys counts. A map, not a search: the sender chooses how many there are.
    let last: HashMap<&str, usize> = entries(nodes).collect();
    last.values().all(|value| is_group(&nodes[*value..]))
}

/// The properties of one group; null counts as none ([ours]).
fn is_group(nodes: &[Node<'_>]) -> bool {
    is_object(nodes) || matches!(nodes[0], Node::Static(StaticNode::Null))
}

fn is_list_of_texts(nodes: &[Node<'_>]) -> bool {
    match nodes[0] {
        // As many nodes as elements: nothing is nested.
        Node::Array { len, count } => {
            len == count
                && nodes[1..=count]
                    .iter()
                    .all(|node| matches!(node, Node::String(_)))
        }
        _ => false,
    }
}

/// Keys and places of values of the object that `nodes` starts with.
fn entries<'n, 'a>(nodes: &'n [Node<'a>]) -> impl Iterator<Item = (&'a str, usize)> + use<'n, 'a> {
    let end = span(&nodes[0]);
    let mut position = 1;
    std::iter::from_fn(move || {
        let Node::String(key) = *nodes[..end].get(position)? else {
            return None;
        };
        let value = position + 1;
        position = value + span(&nodes[value]);
        Some((key, value))
    })
}

/// How many nodes a value covers, itself included.
fn span(node: &Node<'_>) -> usize {
    match node {
        Node::Object { count, .. } | Node::Array { count, .. } => count + 1,
        Node::String(_) | Node::Static(_) => 1,
    }
}

fn cut(distinct_id: &str) -> &str {
    if distinct_id.len() <= DISTINCT_ID_BYTES_MAX {
        return distinct_id;
    }
    distinct_id
        .char_indices()
        .nth(DISTINCT_ID_CHARS_KEPT)
        .map_or(distinct_id, |(end, _)| &distinct_id[..end])
}

fn non_empty(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

fn device_id_of(person_properties: Object<'_>) -> Option<&str> {
    match person_properties.get("$device_id")? {
        PropertyValue::Str(text) => non_empty(Some(text)),
        _ => None,
    }
}

fn runtime(name: &str) -> RequestRuntime {
    if name.eq_ignore_ascii_case("client") {
        RequestRuntime::Client
    } else if name.eq_ignore_ascii_case("server") {
        RequestRuntime::Server
    } else {
        RequestRuntime::All
    }
}
