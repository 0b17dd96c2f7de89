//! Where a request comes from, as person properties (`evaluation.md` 3.1, `storage.md` 8).
//!
//! Defines the port; knows neither the database's format nor which flags look at a location: callers ask only
//! when one does.

use std::net::IpAddr;
use std::sync::Arc;

use metrics::Counter;

/// The location of an address: English names and codes, each only if it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GeoProperties<'a> {
    /// `$geoip_country_name`.
    pub country_name: Option<&'a str>,
    /// `$geoip_city_name`.
    pub city_name: Option<&'a str>,
    /// `$geoip_country_code`, ISO 3166-1.
    pub country_code: Option<&'a str>,
    /// `$geoip_continent_name`.
    pub continent_name: Option<&'a str>,
    /// `$geoip_continent_code`, two letters.
    pub continent_code: Option<&'a str>,
    /// `$geoip_postal_code`.
    pub postal_code: Option<&'a str>,
    /// `$geoip_time_zone`, a name of the time zone database.
    pub time_zone: Option<&'a str>,
}

impl<'a> GeoProperties<'a> {
    /// The values in the order of [`crate::engine::LOCATION_PROPERTIES`].
    #[must_use]
    pub fn values(&self) -> [Option<&'a str>; 7] {
        [
            self.country_name,
            self.city_name,
            self.country_code,
            self.continent_name,
            self.continent_code,
            self.postal_code,
            self.time_zone,
        ]
    }
}

/// Why an address could not be looked up. No request fails with it: an unknown location is no location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GeoError {
    /// The database is damaged where the address leads.
    Unreadable,
}

/// A database of locations. Asked by the worker of the request: it must not wait for anything.
pub trait GeoSource: Send + Sync {
    /// The location of `address`; `None`: the database has no record of it.
    fn lookup(&self, address: IpAddr) -> Result<Option<GeoProperties<'_>>, GeoError>;
}

/// Looks requests up and counts what comes of it.
pub struct GeoLookup {
    source: Arc<dyn GeoSource>,
    found: Counter,
    unknown: Counter,
    failed: Counter,
    differing: Counter,
}

impl GeoLookup {
    /// Resolves its counters: a recorder installed later does not see them.
    #[must_use]
    pub fn new(source: Arc<dyn GeoSource>) -> Self {
        const LOOKUPS: &str = "feature_flags_geoip_lookups_total";
        Self {
            source,
            found: metrics::counter!(LOOKUPS, "result" => "found"),
            unknown: metrics::counter!(LOOKUPS, "result" => "unknown"),
            failed: metrics::counter!(LOOKUPS, "result" => "unreadable"),
            differing: metrics::counter!("geoip_properties_differ_from_lookup"),
        }
    }

    /// The location of `address`; loopback addresses have none and are not looked up. Private addresses are looked up
    /// like all others, and IPv6 addresses that stand for IPv4 ones as they are (`storage.md` 8).
    #[must_use]
    pub fn locate(&self, address: IpAddr) -> GeoProperties<'_> {
        if address.is_loopback() {
            return GeoProperties::default();
        }
        match self.source.lookup(address) {
            Ok(Some(location)) => {
                self.found.increment(1);
                return location;
            }
            Ok(None) => self.unknown.increment(1),
            Err(GeoError::Unreadable) => self.failed.increment(1),
        }
        GeoProperties::default()
    }

    /// Counts a request that said something else of its location than the database.
    pub fn count_difference(&self) {
        self.differing.increment(1);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use metrics::{Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

    use super::*;

    /// Counters by name and labels.
    #[derive(Default)]
    struct Counters(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

    impl Recorder for Counters {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            let labels: String = key.labels().map(|label| format!(" {}", label.value())).collect();
            let mut counters = self.0.lock().unwrap();
            let counter = counters.entry(format!("{}{labels}", key.name())).or_default();
            Counter::from_arc(Arc::clone(counter))
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    impl Counters {
        fn read(&self) -> Vec<(String, u64)> {
            let counters = self.0.lock().unwrap();
            counters
                .iter()
                .map(|(name, count)| (name.clone(), count.load(Ordering::Relaxed)))
                .collect()
        }
    }

    /// Knows 1.0.0.0/8 and fails for 2.0.0.0/8.
    struct Table;

    impl GeoSource for Table {
        fn lookup(&self, address: IpAddr) -> Result<Option<GeoProperties<'_>>, GeoError> {
            match address {
                IpAddr::V4(address) if address.octets()[0] == 1 => Ok(Some(GeoProperties {
                    city_name: Some("One"),
                    ..GeoProperties::default()
                })),
                IpAddr::V4(address) if address.octets()[0] == 2 => Err(GeoError::Unreadable),
                _ => Ok(None),
            }
        }
    }

    #[test]
    fn each_lookup_is_counted_by_its_result() {
        let counters = Counters::default();
        let geo = metrics::with_local_recorder(&counters, || GeoLookup::new(Arc::new(Table)));
        for address in ["1.1.1.1", "1.2.3.4", "2.2.2.2", "3.3.3.3", "::ffff:1.1.1.1"] {
            let location = geo.locate(address.parse().unwrap());
            let known = address.starts_with("1.").then_some("One");
            assert_eq!(location.city_name, known, "{address}");
        }
        for loopback in ["127.0.0.1", "127.255.0.9", "::1"] {
            assert_eq!(geo.locate(loopback.parse().unwrap()), GeoProperties::default());
        }
        geo.count_difference();
        let expected = [
            ("feature_flags_geoip_lookups_total found", 2),
            ("feature_flags_geoip_lookups_total unknown", 2),
            ("feature_flags_geoip_lookups_total unreadable", 1),
            ("geoip_properties_differ_from_lookup", 1),
        ];
        assert_eq!(
            counters.read(),
            expected.map(|(name, count)| (name.to_owned(), count))
        );
    }
}
