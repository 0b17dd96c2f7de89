//! Locations of clients as person properties, over TCP (`http.md` 6.3, `storage.md` 8).

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use feature_flags::context::geo::{GeoError, GeoProperties, GeoSource};
use feature_flags::store::embedded::EmbeddedStore;
use feature_flags::store::geoip::GeoDatabase;
use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::Harness;
use crate::mmdb::{MmdbWriter, full_record};

const TOKEN: &str = "phc_geoip";
const PARIS: &str = "x-forwarded-for: 81.2.69.160";

/// The real reader over a small database, and how often it was asked.
struct Counted {
    database: GeoDatabase<Vec<u8>>,
    lookups: AtomicUsize,
}

impl GeoSource for Counted {
    fn lookup(&self, address: IpAddr) -> Result<Option<GeoProperties<'_>>, GeoError> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        self.database.lookup(address)
    }
}

struct World {
    server: Harness,
    source: Arc<Counted>,
}

fn database() -> MmdbWriter {
    MmdbWriter::city(6, 28)
        .network("81.2.69.0/24", full_record("FR", "Paris", "75001"))
        .network("2001:db8::/32", full_record("JP", "Tokyo", "100"))
        .network("10.0.0.0/8", full_record("XX", "Inside", "1"))
        .network("127.0.0.0/8", full_record("LO", "Loop", "0"))
        .network("0.0.0.0/8", full_record("LO", "Loop", "0"))
        .network("1.1.1.1/32", json!({"country": {"iso_code": "AU"}}))
        .network("6.0.0.0/8", json!({"country": "no map"}))
}

fn filter(key: &str, value: &str) -> Value {
    json!({"key": key, "type": "person", "operator": "exact", "value": value})
}

fn flag(id: usize, key: &str, filters: Vec<Value>) -> Value {
    json!({ "id": id, "key": key, "active": true, "filters": { "groups": [{ "properties": filters }] } })
}

/// Name, property and what Paris has there.
const SEVEN: [(&str, &str, &str); 7] = [
    ("country-name", "$geoip_country_name", "Country FR"),
    ("city-name", "$geoip_city_name", "Paris"),
    ("country-code", "$geoip_country_code", "FR"),
    ("continent-name", "$geoip_continent_name", "Europe"),
    ("continent-code", "$geoip_continent_code", "EU"),
    ("postal-code", "$geoip_postal_code", "75001"),
    ("time-zone", "$geoip_time_zone", "Europe/Paris"),
];

/// A flag a property, one through nested cohorts, and one that is on for everybody with an id.
fn flags() -> Vec<Value> {
    let mut flags: Vec<Value> = SEVEN
        .iter()
        .enumerate()
        .map(|(at, (name, key, value))| flag(at + 1, name, vec![filter(key, value)]))
        .collect();
    flags.push(flag(
        20,
        "nested-cohort",
        vec![json!({"key": "id", "type": "cohort", "value": 1})],
    ));
    flags.push(flag(21, "by-id", vec![filter("distinct_id", "user-1")]));
    flags
}

fn world(flags: Vec<Value>) -> World {
    world_with(&[], flags)
}

fn world_with(variables: &[(&str, &str)], flags: Vec<Value>) -> World {
    let tree = |values: Value| json!({"properties": {"type": "AND", "values": values}});
    let document = json!({
        "team": { "id": 5, "api_token": TOKEN },
        "flags": flags,
        "cohorts": [
            { "id": 1, "filters": tree(json!([{"key": "id", "type": "cohort", "value": 2}])) },
            { "id": 2, "filters": tree(json!([filter("$geoip_country_code", "FR")])) },
        ],
        "persons": [{ "distinct_ids": ["stored"], "properties": { "$geoip_country_code": "DE" } }],
    });
    let store = EmbeddedStore::temporary().unwrap();
    store.import(document.to_string().as_bytes()).unwrap();
    let source = Arc::new(Counted {
        database: GeoDatabase::from_bytes(database().bytes()).unwrap(),
        lookups: AtomicUsize::new(0),
    });
    World {
        server: Harness::located(variables, Arc::new(store), Arc::clone(&source) as _),
        source,
    }
}

impl World {
    /// Keys of the flags that are on, in order of their names.
    fn on(&self, client: &mut Client, headers: &[&str], more: Value) -> Vec<String> {
        let mut body = json!({ "token": TOKEN, "distinct_id": "user-1" });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let mut all = vec!["content-type: application/json"];
        all.extend(headers);
        let answer = client.request("POST /flags?v=2", &all, body.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        assert_eq!(answer["errorsWhileComputingFlags"], json!(false), "{answer}");
        let flags = answer["flags"].as_object().unwrap();
        let mut on: Vec<String> = flags
            .iter()
            .filter(|(_, flag)| flag["enabled"] == json!(true))
            .map(|(key, _)| key.clone())
            .collect();
        on.sort_unstable();
        on
    }

    fn lookups(&self) -> usize {
        self.source.lookups.load(Ordering::Relaxed)
    }
}

fn everything() -> Vec<String> {
    let mut all: Vec<String> = SEVEN.iter().map(|(name, ..)| (*name).to_owned()).collect();
    all.extend(["nested-cohort".to_owned(), "by-id".to_owned()]);
    all.sort_unstable();
    all
}

#[test]
fn all_seven_properties_decide_flags() {
    let world = world(flags());
    let client = &mut world.server.client();
    assert_eq!(world.on(client, &[PARIS], json!({})), everything());
    assert_eq!(
        world.on(client, &[PARIS], json!({"geoip_disable": false})),
        everything()
    );
    // A record without most parts; a record of another country; none.
    assert_eq!(
        world.on(client, &["x-forwarded-for: 1.1.1.1"], json!({})),
        ["by-id"]
    );
    let tokyo = world.on(client, &["x-forwarded-for: [2001:db8::7]:443"], json!({}));
    let same_words = ["by-id", "continent-code", "continent-name", "time-zone"];
    assert_eq!(tokyo, same_words);
    assert_eq!(
        world.on(client, &["x-forwarded-for: 8.8.8.8"], json!({})),
        ["by-id"]
    );
    // Damage in the database is no damage to the answer.
    assert_eq!(
        world.on(client, &["x-forwarded-for: 6.6.6.6"], json!({})),
        ["by-id"]
    );
}

#[test]
fn the_leftmost_forwarded_address_counts_and_then_the_other_headers() {
    let world = world(flags());
    let client = &mut world.server.client();
    for (headers, in_paris) in [
        (vec!["x-forwarded-for: 81.2.69.160, 10.0.0.1, 8.8.8.8"], true),
        (vec!["x-forwarded-for: 8.8.8.8, 81.2.69.160"], false),
        (vec!["x-forwarded-for: 81.2.69.160:51234"], true),
        (vec!["x-forwarded-for: ::ffff:81.2.69.160"], true),
        (vec!["x-forwarded-for: unknown", "x-real-ip: 81.2.69.160"], true),
        (vec!["x-forwarded-for: 8.8.8.8", "x-real-ip: 81.2.69.160"], false),
        (vec!["forwarded: for=81.2.69.160"], true),
        (vec!["x-forwarded-for: 999.1.1.1"], false),
        (vec![], false),
    ] {
        let on = world.on(client, &headers, json!({}));
        assert_eq!(on.contains(&"city-name".to_owned()), in_paris, "{headers:?}");
        assert!(on.contains(&"by-id".to_owned()));
    }
}

#[test]
fn behind_trusted_proxies_a_client_cannot_choose_its_location() {
    let world = world_with(&[("TRUSTED_PROXY_HOPS", "1")], flags());
    let client = &mut world.server.client();
    for (header, in_paris) in [
        ("x-forwarded-for: 81.2.69.160, 8.8.8.8", false),
        ("x-forwarded-for: 8.8.8.8, 81.2.69.160", true),
    ] {
        let on = world.on(client, &[header], json!({}));
        assert_eq!(on.contains(&"city-name".to_owned()), in_paris, "{header}");
    }
}

#[test]
fn private_addresses_are_looked_up_and_loopback_is_not() {
    let inside = flag(1, "inside", vec![filter("$geoip_country_code", "XX")]);
    let looped = flag(2, "loop", vec![filter("$geoip_country_code", "LO")]);
    let world = world(vec![inside, looped]);
    let client = &mut world.server.client();
    assert_eq!(
        world.on(client, &["x-forwarded-for: 10.1.2.3"], json!({})),
        ["inside"]
    );
    assert_eq!(world.lookups(), 1);
    // The database knows them (::1 is where its tree has 0.0.0.1). The peer of this test is one of them.
    for headers in [
        &["x-forwarded-for: 127.0.0.1"][..],
        &["x-forwarded-for: 127.9.9.9"],
        &["x-forwarded-for: ::1"],
        &[],
    ] {
        assert_eq!(world.on(client, headers, json!({})), [""; 0], "{headers:?}");
    }
    assert_eq!(world.lookups(), 1);
}

#[test]
fn what_the_caller_sent_wins_unless_it_is_null() {
    let world = world(flags());
    let client = &mut world.server.client();
    let with = |value: Value| json!({"person_properties": {"$geoip_country_code": value}});
    let without: Vec<String> = everything()
        .into_iter()
        .filter(|key| key != "country-code" && key != "nested-cohort")
        .collect();
    for sent in [
        json!("DE"),
        json!(""),
        json!(0),
        json!(false),
        json!([]),
        json!({}),
    ] {
        assert_eq!(world.on(client, &[PARIS], with(sent.clone())), without, "{sent}");
    }
    for sent in [json!(null), json!("FR"), json!(["FR"])] {
        let on = world.on(client, &[PARIS], with(sent.clone()));
        // A list is a value of the caller's: it stays, and is no "FR".
        let expected = if sent.is_array() {
            without.clone()
        } else {
            everything()
        };
        assert_eq!(on, expected, "{sent}");
    }
    // The last of equal keys counts, for this too.
    let twice = r#"{"token":"phc_geoip","distinct_id":"user-1",
        "person_properties":{"$geoip_country_code":"DE","$geoip_country_code":null}}"#;
    let headers = ["content-type: application/json", PARIS];
    let answer = client
        .request("POST /flags?v=2", &headers, twice.as_bytes())
        .json();
    assert_eq!(answer["flags"]["country-code"]["enabled"], json!(true));
}

#[test]
fn callers_can_object_in_both_spellings() {
    let world = world(flags());
    let client = &mut world.server.client();
    for objection in [json!({"geoip_disable": true}), json!({"disable_geoip": true})] {
        assert_eq!(world.on(client, &[PARIS], objection), ["by-id"]);
    }
    assert_eq!(world.lookups(), 0);
    // The second is no field of the protocol: whatever else it holds is ignored.
    for other in [json!(false), json!("true"), json!(1), json!(null), json!({})] {
        let on = world.on(client, &[PARIS], json!({"disable_geoip": other}));
        assert_eq!(on, everything());
    }
    // The location of the caller is not looked at, what the caller says of it is.
    let told = json!({"geoip_disable": true, "person_properties": {"$geoip_city_name": "Paris"}});
    assert_eq!(world.on(client, &[PARIS], told), ["by-id", "city-name"]);
}

#[test]
fn a_location_goes_before_what_is_stored_of_the_person() {
    let world = world(flags());
    let client = &mut world.server.client();
    let stored = json!({"distinct_id": "stored"});
    let on = world.on(client, &[PARIS], stored.clone());
    assert!(on.contains(&"country-code".to_owned()), "{on:?}");
    let germany = flag(1, "germany", vec![filter("$geoip_country_code", "DE")]);
    let other = self::world(vec![germany]);
    let client = &mut other.server.client();
    assert_eq!(
        other.on(client, &["x-forwarded-for: 8.8.8.8"], stored.clone()),
        ["germany"]
    );
    assert_eq!(other.on(client, &[PARIS], stored), [""; 0]);
}

#[test]
fn nobody_is_looked_up_for_flags_that_do_not_care() {
    let mut careless = vec![
        flag(1, "by-id", vec![filter("distinct_id", "user-1")]),
        flag(2, "by-plan", vec![filter("plan", "pro")]),
        json!({"id": 3, "key": "retired", "active": false, "filters": { "groups": [
            { "properties": [filter("$geoip_country_code", "FR")] }] }}),
    ];
    let world = world(careless.clone());
    let client = &mut world.server.client();
    for _ in 0..3 {
        assert_eq!(world.on(client, &[PARIS], json!({})), ["by-id"]);
    }
    assert_eq!(world.lookups(), 0);
    assert_eq!(
        world.on(client, &[PARIS], json!({"disable_flags": true})),
        [""; 0]
    );
    assert_eq!(world.lookups(), 0);
    careless.push(flag(4, "country", vec![filter("$geoip_country_code", "FR")]));
    let caring = self::world(careless);
    let client = &mut caring.server.client();
    let both = json!({"person_properties": {"plan": "free"}});
    assert_eq!(caring.on(client, &[PARIS], both), ["by-id", "country"]);
    assert_eq!(caring.lookups(), 1);
}

#[test]
fn identity_is_untouched() {
    let rollout = |id: usize| {
        json!({"id": id, "key": format!("half-{id}"), "active": true, "filters": { "groups": [
            { "rollout_percentage": 50 }] }})
    };
    let mut flags: Vec<Value> = (30..60).map(rollout).collect();
    flags.push(flag(1, "country", vec![filter("$geoip_country_code", "FR")]));
    let world = world(flags);
    let client = &mut world.server.client();
    for number in 0..20 {
        let id = json!({"distinct_id": format!("u{number}"), "groups": {"company": "x"}});
        let mut located = world.on(client, &[PARIS], id.clone());
        located.retain(|key| key != "country");
        assert_eq!(located, world.on(client, &[], id));
    }
}
