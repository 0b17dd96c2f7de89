//! What a request itself says of the person and its groups, into slots, before anything is planned.

use super::RequestScope;
use crate::engine::value::PropertyValue;
use crate::engine::{CompiledProject, GroupKey, Slots};
use crate::wire::request::FlagRequest;

/// Overrides of 3.1 into slots, and the request's group keys.
pub(super) fn fill<'a>(
    project: &CompiledProject,
    request: &FlagRequest<'a>,
    distinct_id: &'a str,
    slots: &mut Slots<'a>,
    keys: &mut Vec<GroupKey<'a>>,
    text: &mut String,
) {
    let table = project.properties();
    if let Some(slot) = table.get_person("distinct_id") {
        slots.set(slot, PropertyValue::Str(distinct_id));
    }
    if let Some(properties) = request.person_properties {
        slots.fill_person(table, properties);
    }
    for group in table.groups() {
        let Some(name) = group.name.as_deref() else {
            keys.push(GroupKey::None);
            continue;
        };
        if let Some(PropertyValue::Object(properties)) =
            request.group_properties.and_then(|groups| groups.get(name))
        {
            slots.fill_group(group, properties);
        }
        let key = request.groups.and_then(|groups| groups.get(name));
        if let (Some(key), Some(slot)) = (key, group.get("$group_key")) {
            slots.set(slot, key);
        }
        keys.push(key.map_or(GroupKey::None, |key| GroupKey::from_value(key, text)));
    }
}

/// The location into slots that the request left absent or null; what it sent wins (`evaluation.md` D15). `true`: it sent
/// something else. Before the plan, because a location in place makes a stored person unnecessary.
pub(super) fn fill_location<'a>(
    project: &CompiledProject,
    scope: &RequestScope<'a>,
    slots: &mut Slots<'a>,
) -> bool {
    let (Some(wanted), Some(location)) = (project.location(), scope.location) else {
        return false;
    };
    let mut differs = false;
    for (slot, text) in wanted.iter().zip(location.values()) {
        let (Some(slot), Some(text)) = (*slot, text) else {
            continue;
        };
        let looked_up = PropertyValue::Str(text);
        match slots.get(slot) {
            None | Some(PropertyValue::Null) => slots.set(slot, looked_up),
            Some(sent) => differs |= sent != looked_up,
        }
    }
    differs
}
