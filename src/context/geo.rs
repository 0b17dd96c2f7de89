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
