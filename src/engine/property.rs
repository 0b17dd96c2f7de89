//! Property slots: every property key that some flag or cohort of the team looks at has a number.
//!
//! A request walks its own properties once and drops borrowed values into slots; a matcher reads a
//! slot. What the specification derives (`$os` mirror, `$initial_` values) is settled as slot pairs at load.

use std::collections::HashMap;

use ahash::RandomState;

use super::recycle::recycle;
use super::value::{Object, PropertyValue};

/// Position of a property in [`Slots`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotIndex(pub u32);

/// Position of a group type in [`PropertyTable::groups`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupIndex(pub u16);

/// Where a slot's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotSource {
    /// The person.
    Person,
    /// A group.
    Group(GroupIndex),
}

type SlotMap = HashMap<Box<str>, SlotIndex, RandomState>;

/// The slots of one project.
#[derive(Debug, Default)]
pub struct PropertyTable {
    person: SlotMap,
    groups: Vec<GroupTable>,
    sources: Vec<SlotSource>,
    os: Option<(SlotIndex, SlotIndex)>,
    initial: Vec<(SlotIndex, SlotIndex)>,
    created_at: Option<SlotIndex>,
}

/// The slots of one group type.
#[derive(Debug)]
pub struct GroupTable {
    /// `group_type_index`.
    pub type_index: i32,
    /// Name in the team's mapping; `None` when the mapping does not know the index.
    pub name: Option<Box<str>>,
    slots: SlotMap,
}

/// Names that are copied to their `$initial_` form when that is absent (`evaluation.md` 15).
const INITIAL_SOURCES: [&str; 42] = [
    "$app_build",
    "$app_name",
    "$app_namespace",
    "$app_version",
    "$browser",
    "$browser_version",
    "$device_type",
    "$current_url",
    "$pathname",
    "$os",
    "$os_version",
    "$referring_domain",
    "$referrer",
    "$screen_height",
    "$screen_width",
    "$viewport_height",
    "$viewport_width",
    "$raw_user_agent",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_content",
    "utm_term",
    "gclid",
    "gad_source",
    "gclsrc",
    "dclid",
    "gbraid",
    "wbraid",
    "fbclid",
    "msclkid",
    "twclid",
    "li_fat_id",
    "mc_cid",
    "igshid",
    "ttclid",
    "rdt_cid",
    "epik",
    "qclid",
    "sccid",
    "irclid",
    "_kx",
];

impl PropertyTable {
    /// The slot of a person property, made if new.
    pub fn person_slot(&mut self, key: &str) -> SlotIndex {
        if let Some(slot) = self.person.get(key) {
            return *slot;
        }
        let slot = self.new_slot(SlotSource::Person);
        self.person.insert(key.into(), slot);
        slot
    }

    /// The slot of the person's creation time, apart from a property of that name.
    pub fn created_at_slot(&mut self) -> SlotIndex {
        if let Some(slot) = self.created_at {
            return slot;
        }
        let slot = self.new_slot(SlotSource::Person);
        self.created_at = Some(slot);
        slot
    }

    /// The table of a group type, made if new.
    pub fn group(&mut self, type_index: i32, name: Option<&str>) -> GroupIndex {
        if let Some(at) = self
            .groups
            .iter()
            .position(|group| group.type_index == type_index)
        {
            return GroupIndex(at as u16);
        }
        self.groups.push(GroupTable {
            type_index,
            name: name.map(Into::into),
            slots: SlotMap::default(),
        });
        GroupIndex((self.groups.len() - 1) as u16)
    }

    /// The slot of a group property, made if new.
    pub fn group_slot(&mut self, group: GroupIndex, key: &str) -> SlotIndex {
        if let Some(slot) = self.groups[usize::from(group.0)].slots.get(key) {
            return *slot;
        }
        let slot = self.new_slot(SlotSource::Group(group));
        self.groups[usize::from(group.0)].slots.insert(key.into(), slot);
        slot
    }

    fn new_slot(&mut self, source: SlotSource) -> SlotIndex {
        self.sources.push(source);
        SlotIndex((self.sources.len() - 1) as u32)
    }

    /// Adds the slots that derived values are read from; call once, after the last `person_slot`.
    pub fn finish(&mut self) {
        for source in INITIAL_SOURCES {
            let target = format!("$initial_{}", source.strip_prefix('$').unwrap_or(source));
            if let Some(target) = self.person.get(target.as_str()).copied() {
                let source = self.person_slot(source);
                self.initial.push((source, target));
            }
        }
        if self.person.contains_key("$os") || self.person.contains_key("$os_name") {
            self.os = Some((self.person_slot("$os"), self.person_slot("$os_name")));
        }
    }

    /// Number of slots.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether no flag looks at any property.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The group types that some flag refers to.
    #[must_use]
    pub fn groups(&self) -> &[GroupTable] {
        &self.groups
    }

    /// The table of `group`.
    #[must_use]
    pub fn group_table(&self, group: GroupIndex) -> &GroupTable {
        &self.groups[usize::from(group.0)]
    }

    /// Where `slot` comes from.
    #[must_use]
    pub fn source(&self, slot: SlotIndex) -> SlotSource {
        self.sources[slot.0 as usize]
    }

    /// The existing slot of a person property.
    #[must_use]
    pub fn get_person(&self, key: &str) -> Option<SlotIndex> {
        self.person.get(key).copied()
    }

    /// Estimated heap bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let map = |map: &SlotMap| {
            map.capacity() * (size_of::<(Box<str>, SlotIndex)>() + 1)
                + map.keys().map(|key| key.len()).sum::<usize>()
        };
        map(&self.person)
            + self
                .groups
                .iter()
                .map(|group| size_of::<GroupTable>() + map(&group.slots))
                .sum::<usize>()
            + self.sources.capacity() * size_of::<SlotSource>()
            + self.initial.capacity() * size_of::<(SlotIndex, SlotIndex)>()
    }
}

impl GroupTable {
    /// The existing slot of a property of this group type.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<SlotIndex> {
        self.slots.get(key).copied()
    }
}

/// Property values of one request, by slot. `None` is an absent key.
#[derive(Debug, Default)]
pub struct Slots<'a> {
    values: Vec<Option<PropertyValue<'a>>>,
}

impl<'a> Slots<'a> {
    /// Takes emptied memory back into use for `table`.
    #[must_use]
    pub fn new(recycled: Vec<Option<PropertyValue<'static>>>, table: &PropertyTable) -> Self {
        let mut values: Vec<Option<PropertyValue<'a>>> = recycled;
        values.clear();
        values.resize(table.len(), None);
        Self { values }
    }

    /// Gives the memory back; nothing of the request stays in it.
    #[must_use]
    pub fn recycle(self) -> Vec<Option<PropertyValue<'static>>> {
        recycle(self.values)
    }

    /// The value of `slot`.
    #[inline]
    #[must_use]
    pub fn get(&self, slot: SlotIndex) -> Option<PropertyValue<'a>> {
        self.values[slot.0 as usize]
    }

    /// Sets `slot`.
    pub fn set(&mut self, slot: SlotIndex, value: PropertyValue<'a>) {
        self.values[slot.0 as usize] = Some(value);
    }

    /// Overrides of the person as sent; the last of equal keys wins.
    pub fn fill_person(&mut self, table: &PropertyTable, properties: Object<'a>) {
        if table.person.is_empty() {
            return;
        }
        for (key, value) in properties.iter() {
            if let Some(slot) = table.person.get(key) {
                self.set(*slot, value);
            }
        }
    }

    /// Overrides of one group type as sent.
    pub fn fill_group(&mut self, table: &GroupTable, properties: Object<'a>) {
        if table.slots.is_empty() {
            return;
        }
        for (key, value) in properties.iter() {
            if let Some(slot) = table.slots.get(key) {
                self.set(*slot, value);
            }
        }
    }

    /// Stored person properties: only where the request sent nothing.
    pub fn merge_person(&mut self, table: &PropertyTable, stored: Object<'a>) {
        for (key, value) in stored.iter() {
            if let Some(slot) = table.person.get(key) {
                self.values[slot.0 as usize].get_or_insert(value);
            }
        }
    }

    /// The stored creation time of the person.
    pub fn set_created_at(&mut self, table: &PropertyTable, created_at: &'a str) {
        if let Some(slot) = table.created_at {
            self.set(slot, PropertyValue::Str(created_at));
        }
    }

    /// Stored group properties: only where the request sent nothing.
    pub fn merge_group(&mut self, table: &GroupTable, stored: Object<'a>) {
        for (key, value) in stored.iter() {
            if let Some(slot) = table.slots.get(key) {
                self.values[slot.0 as usize].get_or_insert(value);
            }
        }
    }

    /// `$os` mirror, then `$initial_` values (`evaluation.md` 15, steps 3 and 4); after merging.
    pub fn derive(&mut self, table: &PropertyTable) {
        if let Some((os, os_name)) = table.os {
            let (left, right) = (self.get(os), self.get(os_name));
            self.values[os.0 as usize] = left.or(right);
            self.values[os_name.0 as usize] = right.or(left);
        }
        for (source, target) in &table.initial {
            let value = self.get(*source);
            let target = &mut self.values[target.0 as usize];
            *target = target.or(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initial_values_follow_the_mirror_of_os() {
        let mut table = PropertyTable::default();
        let initial = table.person_slot("$initial_os");
        table.finish();
        let mut slots = Slots::new(Vec::new(), &table);
        slots.set(table.get_person("$os_name").unwrap(), PropertyValue::Str("iOS"));
        slots.derive(&table);
        assert_eq!(slots.get(initial), Some(PropertyValue::Str("iOS")));
    }

    #[test]
    fn recycled_memory_keeps_its_allocation() {
        let mut table = PropertyTable::default();
        for key in 0..40 {
            table.person_slot(&key.to_string());
        }
        let memory = Slots::new(Vec::new(), &table).recycle();
        assert!(memory.capacity() >= 40 && memory.is_empty());
    }
}
