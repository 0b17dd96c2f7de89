//! Databases of every form that the format allows, and files that are none.

use std::net::IpAddr;

use serde_json::json;

use super::{GeoDatabase, GeoOpenError};
use crate::context::geo::{GeoError, GeoProperties, GeoSource};

#[path = "../../../tests/support/geoip.rs"]
mod writer;
use writer::{MmdbWriter, full_record};

const PARIS: &str = "81.2.69.160";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn sample(ip_version: u16, record_size: u16) -> MmdbWriter {
    MmdbWriter::city(ip_version, record_size)
        .network("81.2.69.0/24", full_record("FR", "Paris", "75001"))
        .network("10.0.0.0/8", full_record("XX", "Inside", "1"))
        .network("1.1.1.1/32", json!({"country": {"iso_code": "AU"}}))
}

fn paris() -> GeoProperties<'static> {
    GeoProperties {
        country_name: Some("Country FR"),
        city_name: Some("Paris"),
        country_code: Some("FR"),
        continent_name: Some("Europe"),
        continent_code: Some("EU"),
        postal_code: Some("75001"),
        time_zone: Some("Europe/Paris"),
    }
}

#[test]
fn all_seven_texts_are_found_in_every_form_of_the_tree() {
    for ip_version in [4, 6] {
        for record_size in [24, 28, 32] {
            let database = GeoDatabase::from_bytes(sample(ip_version, record_size).bytes()).unwrap();
            let case = format!("IPv{ip_version}, {record_size} bits");
            for inside in [PARIS, "81.2.69.0", "81.2.69.255"] {
                assert_eq!(database.lookup(address(inside)), Ok(Some(paris())), "{case}");
            }
            for outside in [
                "81.2.68.255",
                "81.2.70.0",
                "8.8.8.8",
                "0.0.0.0",
                "255.255.255.255",
            ] {
                assert_eq!(database.lookup(address(outside)), Ok(None), "{case}: {outside}");
            }
        }
    }
}

#[test]
fn ipv6_networks_and_mapped_addresses_are_looked_up_as_they_are() {
    let writer = sample(6, 28).network("2001:db8::/32", json!({"city": {"names": {"en": "Six"}}}));
    let database = GeoDatabase::from_bytes(writer.bytes()).unwrap();
    let six = database.lookup(address("2001:db8::1")).unwrap().unwrap();
    assert_eq!(six.city_name, Some("Six"));
    // Such databases have the IPv4 tree a second time where mapped addresses lead.
    assert_eq!(database.lookup(address("::ffff:81.2.69.160")), Ok(Some(paris())));
    let only_v4 = GeoDatabase::from_bytes(sample(4, 24).bytes()).unwrap();
    assert_eq!(only_v4.lookup(address("2001:db8::1")), Ok(None));
}

#[test]
fn private_addresses_are_no_exception() {
    let database = GeoDatabase::from_bytes(sample(6, 24).bytes()).unwrap();
    let inside = database.lookup(address("10.1.2.3")).unwrap().unwrap();
    assert_eq!(inside.city_name, Some("Inside"));
    assert_eq!(database.lookup(address("192.168.1.1")), Ok(None));
}

#[test]
fn missing_parts_of_a_record_are_absent_properties() {
    let database = GeoDatabase::from_bytes(sample(6, 24).bytes()).unwrap();
    let expected = GeoProperties {
        country_code: Some("AU"),
        ..GeoProperties::default()
    };
    assert_eq!(database.lookup(address("1.1.1.1")), Ok(Some(expected)));
    for record in [
        json!({}),
        json!({"country": {}, "city": {"names": {}}, "location": {"latitude": 1.5}}),
        json!({"city": {"names": {"de": "nur deutsch"}}}),
    ] {
        let writer = MmdbWriter::city(4, 24).network("1.0.0.0/8", record);
        let database = GeoDatabase::from_bytes(writer.bytes()).unwrap();
        let found = database.lookup(address("1.2.3.4"));
        assert_eq!(found, Ok(Some(GeoProperties::default())));
    }
}

#[test]
fn only_texts_become_properties() {
    let long = "n".repeat(300);
    let record = json!({
        "city": {"names": {"en": 7}},
        "country": {"iso_code": ["FR"], "names": {"en": {"x": 1}}},
        "continent": {"code": true, "names": {"en": 1.5}},
        "postal": {"code": long},
        "location": {"time_zone": ""},
    });
    let writer = MmdbWriter::city(4, 24).network("1.0.0.0/8", record);
    let database = GeoDatabase::from_bytes(writer.bytes()).unwrap();
    let expected = GeoProperties {
        postal_code: Some(&long),
        time_zone: Some(""),
        ..GeoProperties::default()
    };
    assert_eq!(database.lookup(address("1.2.3.4")), Ok(Some(expected)));
}

#[test]
fn a_record_of_another_shape_is_an_error_of_its_addresses_alone() {
    let writer = sample(4, 24)
        .network("3.0.0.0/8", json!("no map"))
        .network("4.0.0.0/8", json!({"city": "no map"}));
    let database = GeoDatabase::from_bytes(writer.bytes()).unwrap();
    for broken in ["3.0.0.1", "4.0.0.1"] {
        assert_eq!(database.lookup(address(broken)), Err(GeoError::Unreadable));
    }
    assert_eq!(database.lookup(address(PARIS)), Ok(Some(paris())));
}

#[test]
fn a_mapped_file_and_a_copy_in_memory_agree() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("city.mmdb");
    std::fs::write(&path, sample(6, 28).bytes()).unwrap();
    let mapped = GeoDatabase::open(&path).unwrap();
    let copied = GeoDatabase::from_bytes(std::fs::read(&path).unwrap()).unwrap();
    for number in 0..50_000_u32 {
        let address = IpAddr::from(number.wrapping_mul(2_654_435_761).to_be_bytes());
        assert_eq!(mapped.lookup(address), copied.lookup(address), "{address}");
    }
    // A newer file takes the name; the open one stays what it was.
    std::fs::write(folder.path().join("new"), MmdbWriter::city(4, 24).bytes()).unwrap();
    std::fs::rename(folder.path().join("new"), &path).unwrap();
    assert_eq!(mapped.lookup(address(PARIS)), Ok(Some(paris())));
}

#[test]
fn files_that_are_no_city_database_say_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let open = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        GeoDatabase::open(&path).map(|_| ()).unwrap_err()
    };
    assert!(matches!(
        GeoDatabase::open(&folder.path().join("none")),
        Err(GeoOpenError::Absent)
    ));
    assert!(matches!(
        GeoDatabase::open(folder.path()),
        Err(GeoOpenError::Io(_))
    ));
    for bytes in [&b""[..], b"not a database", b"\xab\xcd\xefMaxMind.com"] {
        let error = open(bytes);
        assert!(
            matches!(error, GeoOpenError::Malformed(_) | GeoOpenError::Io(_)),
            "{error}"
        );
    }
    let mut country = sample(4, 24);
    for (database_type, is_city) in [
        ("GeoLite2-Country", false),
        ("GeoLite2-ASN", false),
        ("", false),
        ("GeoIP2-City", true),
        ("DBIP-City-Lite", true),
        ("GeoIP2-Enterprise", true),
    ] {
        country.database_type = database_type.into();
        let opened = GeoDatabase::from_bytes(country.bytes());
        assert_eq!(opened.is_ok(), is_city, "{database_type}");
        if let Err(error) = opened {
            assert!(error.to_string().contains("City database"), "{error}");
        }
    }
}

/// Numbers that repeat: splitmix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Damaged in any way, a file is refused or answers something; it never brings the process down.
#[test]
fn damaged_files_never_panic() {
    let whole = sample(6, 28).bytes();
    let mut state = 7;
    let mut lookups = 0;
    let mut ask = |bytes: Vec<u8>, state: &mut u64| {
        if let Ok(database) = GeoDatabase::from_bytes(bytes) {
            for known in [PARIS, "10.0.0.1", "1.1.1.1", "::1", "2001:db8::1"] {
                let _ = database.lookup(address(known));
            }
            let _ = database.lookup(IpAddr::from((next(state) as u32).to_be_bytes()));
            lookups += 1;
        }
    };
    for length in 0..whole.len() {
        ask(whole[..length].to_vec(), &mut state);
        ask(whole[length..].to_vec(), &mut state);
    }
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..=next(&mut state) % 4 {
            let at = next(&mut state) as usize % bytes.len();
            bytes[at] = next(&mut state) as u8;
        }
        ask(bytes, &mut state);
    }
    for _ in 0..500 {
        let noise = (0..next(&mut state) % 400).map(|_| next(&mut state) as u8);
        let mut bytes: Vec<u8> = noise.collect();
        bytes.extend(b"\xab\xcd\xefMaxMind.com");
        bytes.extend((0..40).map(|_| next(&mut state) as u8));
        ask(bytes, &mut state);
    }
    assert!(lookups > 5_000, "most damage leaves a file that opens: {lookups}");
}
