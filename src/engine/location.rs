//! Which person properties of a location some flag of the project can look at.
//!
//! Settled at load, so that a team whose flags look at none pays one comparison a request. What a location
//! is, and where it comes from, is not known here.

use super::bitset::BitSet;
use super::project::{CohortFilter, CompiledProject, Condition, EarlyAccess, Filter};
use super::property::SlotIndex;

/// Names of the properties of a location, in the order in which every list of them stands (`storage.md` 8).
pub const LOCATION_PROPERTIES: [&str; 7] = [
    "$geoip_country_name",
    "$geoip_city_name",
    "$geoip_country_code",
    "$geoip_continent_name",
    "$geoip_continent_code",
    "$geoip_postal_code",
    "$geoip_time_zone",
];

/// The slots of [`LOCATION_PROPERTIES`], in their order; `None` where no flag that can be evaluated looks.
pub type LocationSlots = [Option<SlotIndex>; LOCATION_PROPERTIES.len()];

/// The slots that some flag reads, itself or through cohorts; `None` when none does. Flags that every request leaves out do not count.
pub(super) fn location_slots(project: &CompiledProject) -> Option<Box<LocationSlots>> {
    let named = LOCATION_PROPERTIES.map(|name| project.properties.get_person(name));
    if named.iter().all(Option::is_none) {
        return None;
    }
    let mut read = BitSet::new(project.properties.len());
    let mut cohorts = Vec::new();
    for (at, flag) in project.flags.iter().enumerate() {
        if project.filterable.retired.contains(at) {
            continue;
        }
        let mut condition = |condition: &Condition| {
            for filter in &project.filters[as_usize(&condition.filters)] {
                if let Filter::Property(test) = filter
                    && let Some(test) = project.tests.get(*test)
                {
                    read.insert(test.slot.0 as usize);
                }
            }
            for filter in &project.cohort_filters[as_usize(&condition.cohort_filters)] {
                if let CohortFilter::Member { cohort, .. } | CohortFilter::Never { cohort } = filter {
                    cohorts.push(*cohort);
                }
            }
        };
        project.conditions[as_usize(&flag.conditions)]
            .iter()
            .for_each(&mut condition);
        if let EarlyAccess::Super { condition: at, .. } = flag.early_access {
            condition(&project.conditions[at as usize]);
        }
    }
    project.cohorts.read_slots(cohorts, &mut read);
    let slots = named.map(|slot| slot.filter(|slot| read.contains(slot.0 as usize)));
    slots.iter().any(Option::is_some).then(|| Box::new(slots))
}

fn as_usize(range: &std::ops::Range<u32>) -> std::ops::Range<usize> {
    range.start as usize..range.end as usize
}

#[cfg(test)]
mod tests {
    use super::LOCATION_PROPERTIES;
    use crate::definition::RawProject;
    use crate::engine::compile;

    /// Names that requests of a project of these flags and cohorts look at.
    fn read(flags: &str, cohorts: &str) -> Vec<&'static str> {
        let project = RawProject {
            flags: sonic_rs::from_str(flags).expect("flags"),
            cohorts: sonic_rs::from_str(cohorts).expect("cohorts"),
            ..RawProject::default()
        };
        let compiled = compile(&project);
        LOCATION_PROPERTIES
            .into_iter()
            .zip(compiled.location().copied().unwrap_or_default())
            .filter_map(|(name, slot)| slot.map(|_| name))
            .collect()
    }

    fn filter(key: &str) -> String {
        format!(r#"{{"key": "{key}", "type": "person", "operator": "exact", "value": "x"}}"#)
    }

    fn flag(id: u32, rest: &str, filters: &str) -> String {
        format!(
            r#"{{"id": {id}, "key": "f{id}", "active": true{rest}, "filters": {{"groups": [{{"properties": [{filters}]}}]}}}}"#
        )
    }

    #[test]
    fn conditions_count_by_their_own_property() {
        let flags = format!("[{}]", flag(1, "", &filter("$geoip_city_name")));
        assert_eq!(read(&flags, "[]"), ["$geoip_city_name"]);
        for key in ["plan", "$geoip_accuracy_radius", "$initial_geoip_city_name"] {
            let flags = format!("[{}]", flag(1, "", &filter(key)));
            assert_eq!(read(&flags, "[]"), [""; 0], "{key}");
        }
    }

    #[test]
    fn flags_that_are_never_evaluated_do_not_count() {
        let flags = format!(
            "[{}]",
            flag(1, r#", "deleted": true"#, &filter("$geoip_city_name"))
        );
        assert_eq!(read(&flags, "[]"), [""; 0]);
    }

    #[test]
    fn cohorts_count_when_a_flag_reaches_them() {
        let cohort = |id: u32, values: &str| {
            format!(
                r#"{{"id": {id}, "filters": {{"properties": {{"type": "OR", "values": [
                   {{"type": "AND", "values": [{values}]}}]}}}}}}"#
            )
        };
        let cohorts = format!(
            "[{}, {}, {}]",
            cohort(10, r#"{"key": "id", "type": "cohort", "value": 11}"#),
            cohort(11, &filter("$geoip_continent_code")),
            cohort(12, &filter("$geoip_postal_code")),
        );
        let in_cohort = r#"{"key": "id", "type": "cohort", "operator": "not_in", "value": 10}"#;
        let flags = format!("[{}]", flag(1, "", in_cohort));
        assert_eq!(read(&flags, &cohorts), ["$geoip_continent_code"]);
        assert_eq!(read("[]", &cohorts), [""; 0]);
    }

    #[test]
    fn groups_have_no_location() {
        let filter = r#"{"key": "$geoip_city_name", "type": "group", "group_type_index": 0, "value": "x"}"#;
        assert_eq!(read(&format!("[{}]", flag(1, "", filter)), "[]"), [""; 0]);
    }

    #[test]
    fn early_access_conditions_count() {
        let flags = format!(
            r#"[{{"id": 1, "key": "f", "active": true, "filters": {{"groups": [], "super_groups":
               [{{"properties": [{}], "rollout_percentage": 100}}]}}}}]"#,
            filter("$geoip_time_zone")
        );
        assert_eq!(read(&flags, "[]"), ["$geoip_time_zone"]);
    }
}
