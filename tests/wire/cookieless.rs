//! Cookieless mode over TCP: whose flags a request without an id gets, and what is refused (`http.md` 8.3).

use std::net::IpAddr;
use std::sync::Arc;

use feature_flags::context::cookieless::{
    COOKIELESS_DISTINCT_ID, CookielessStore, CookielessStoreError, HashInput, Salt, cookieless_hash, unpadded,
};
use feature_flags::engine::Instant;
use feature_flags::http::Clock;
use feature_flags::snapshot::BoxFuture;
use feature_flags::store::embedded::EmbeddedStore;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::harness::Harness;

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64)";
const ORIGIN: &str = "https://shop.example.co.uk";

/// 2025-01-01T20:30:01Z.
const NOW: Instant = Instant {
    seconds: 1_735_763_401,
    nanos: 0,
};

const ADDRESSES: u8 = 60;

/// Salts that tests can compute with; one count for everybody.
struct KnownSalts {
    count: Result<u64, ()>,
    salt: bool,
}

/// Another one a day: the text of the day itself, filled up.
fn salt_of(day: &str) -> Salt {
    let mut salt = [b'.'; 16];
    salt[..day.len()].copy_from_slice(day.as_bytes());
    salt
}

impl CookielessStore for KnownSalts {
    fn salt<'a>(&'a self, day: &'a str) -> BoxFuture<'a, Result<Salt, CookielessStoreError>> {
        let away = CookielessStoreError::Unavailable("away".to_owned());
        Box::pin(async move { if self.salt { Ok(salt_of(day)) } else { Err(away) } })
    }

    fn identify_count<'a>(
        &'a self,
        _team_id: i32,
        _hash: &'a str,
    ) -> BoxFuture<'a, Result<u64, CookielessStoreError>> {
        let away = |()| CookielessStoreError::Unavailable("away".to_owned());
        Box::pin(async move { self.count.map_err(away) })
    }
}

fn server(mode: i64, variables: &[(&str, &str)], count: Result<u64, ()>, salt: bool) -> Harness {
    let salts = Arc::new(KnownSalts { count, salt });
    Harness::cookieless(variables, team(mode), Clock::Fixed(NOW), salts)
}

fn team(mode: i64) -> Arc<EmbeddedStore> {
    let document = json!({
        "team": { "id": 42, "api_token": "phc_cookieless", "timezone": "Asia/Tehran",
            "cookieless_server_hash_mode": mode },
        "flags": [{ "id": 1, "key": "half", "active": true,
            "filters": { "groups": [{ "rollout_percentage": 50 }] } }],
    });
    let store = EmbeddedStore::temporary().unwrap();
    store.import(document.to_string().as_bytes()).unwrap();
    Arc::new(store)
}

fn ask(client: &mut Client, line: &str, headers: &[&str], more: Value) -> Answer {
    let mut body = json!({ "token": "phc_cookieless", "distinct_id": COOKIELESS_DISTINCT_ID });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let mut all = vec!["content-type: application/json"];
    all.extend(headers);
    client.request(line, &all, body.to_string().as_bytes())
}

fn address(last: u8) -> String {
    format!("203.0.113.{last}")
}

/// Whether the flag is on, for each address.
fn decisions(server: &Harness, line: &str, more: &Value) -> Vec<bool> {
    let mut client = server.client();
    (0..ADDRESSES)
        .map(|last| {
            let headers = [
                format!("origin: {ORIGIN}"),
                format!("user-agent: {AGENT}"),
                format!("x-forwarded-for: {}", address(last)),
            ];
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            enabled(&ask(&mut client, line, &headers, more.clone()))
        })
        .collect()
}

fn enabled(answer: &Answer) -> bool {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["flags"]["half"]["enabled"].as_bool().unwrap()
}

/// The same by plain ids that the pure function makes.
fn expected(server: &Harness, day: &str, count: u64, extra: &str) -> Vec<bool> {
    let mut client = server.client();
    (0..ADDRESSES)
        .map(|last| {
            let input = HashInput {
                team_id: 42,
                ip: address(last).parse::<IpAddr>().unwrap(),
                root_domain: "example.co.uk",
                user_agent: AGENT,
                extra,
            };
            let id = format!(
                "cookieless_{}",
                unpadded(&cookieless_hash(&salt_of(day), &input, count))
            );
            enabled(&ask(
                &mut client,
                "POST /flags?v=2",
                &[],
                json!({ "distinct_id": id }),
            ))
        })
        .collect()
}

#[test]
fn flags_are_those_of_the_id_that_the_inputs_make() {
    let server = server(2, &[], Ok(0), true);
    let plain = json!({});
    // Half past eight in the evening is the next day in the team's zone.
    let tomorrow = expected(&server, "2025-01-02", 0, "");
    assert!(tomorrow.contains(&true) && tomorrow.contains(&false));
    assert_eq!(decisions(&server, "POST /flags?v=2", &plain), tomorrow);
    assert_eq!(
        decisions(&server, "POST /flags?v=2", &plain),
        tomorrow,
        "stable within a day"
    );

    let today = expected(&server, "2025-01-01", 0, "");
    assert_ne!(today, tomorrow);
    assert_eq!(
        decisions(&server, "POST /flags?v=2", &json!({ "timezone": "UTC" })),
        today
    );
    // Six hours earlier, by the client's clock, it was the same day in Tehran.
    assert_eq!(
        decisions(&server, "POST /flags?v=2&_=1735741801000", &plain),
        today
    );

    let extra = json!({ "cookieless_hash_extra": "more" });
    assert_eq!(
        decisions(&server, "POST /flags?v=2", &extra),
        expected(&server, "2025-01-02", 0, "more")
    );
}

#[test]
fn random_salts_of_the_process_make_ids_that_last_a_day() {
    let server = Harness::serving(&[], team(2), Clock::Fixed(NOW));
    let of = |timezone: &str| decisions(&server, "POST /flags?v=2", &json!({ "timezone": timezone }));
    let today = of("UTC");
    assert_eq!(of("UTC"), today);
    assert_ne!(of("Asia/Tehran"), today, "another day");
    let another = Harness::serving(&[], team(2), Clock::Fixed(NOW));
    assert_ne!(
        decisions(&another, "POST /flags?v=2", &json!({ "timezone": "UTC" })),
        today
    );
}

#[test]
fn identify_counts_matter_in_stateful_mode_alone() {
    let plain = json!({});
    let of = |mode, variables: &[(&str, &str)], count| {
        let server = server(mode, variables, count, true);
        let with = decisions(&server, "POST /flags?v=2", &plain);
        (
            with,
            expected(&server, "2025-01-02", 0, ""),
            expected(&server, "2025-01-02", 3, ""),
            server,
        )
    };
    let (stateful, none, three, _server) = of(2, &[], Ok(3));
    assert_ne!(none, three);
    assert_eq!(stateful, three);
    assert_eq!(of(1, &[], Ok(3)).0, none);
    assert_eq!(of(2, &[("COOKIELESS_FORCE_STATELESS", "true")], Ok(3)).0, none);
    let (unavailable, _, _, server) = of(2, &[], Err(()));
    assert_eq!(unavailable, none);
    assert_eq!(server.app.cookieless.counts_unavailable(), u64::from(ADDRESSES));
}

#[test]
fn the_id_is_used_as_it_is_where_the_mode_is_off() {
    let off = server(0, &[], Ok(0), true);
    let disabled = server(2, &[("COOKIELESS_DISABLED", "true")], Ok(0), true);
    for server in [off, disabled] {
        // Nothing that the mode needs is sent.
        let answer = ask(&mut server.client(), "POST /flags?v=2", &[], json!({}));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn what_is_missing_or_unusable_is_said() {
    let server = server(2, &[], Ok(0), true);
    let (origin, agent) = (format!("origin: {ORIGIN}"), format!("user-agent: {AGENT}"));
    let (origin, agent) = (origin.as_str(), agent.as_str());
    let window = "Invalid sent_at: timestamp resolves to a date outside the accepted ingestion window";
    let cases: [(&str, &[&str], &str); 7] = [
        ("/flags", &[agent], "Missing required property: host"),
        ("/flags", &[origin], "Missing required property: user_agent"),
        (
            "/flags",
            &["origin: http://[::1", agent],
            "Invalid URL: invalid IPv6 address",
        ),
        ("/flags?_=1735500000000", &[origin, agent], window),
        ("/flags?_=1736000000000", &[origin, agent], window),
        (
            "/flags?_=9223372036854775807",
            &[origin, agent],
            "Invalid timestamp: not a time of the calendar",
        ),
        ("/decide?v=3", &[agent], "Missing required property: host"),
    ];
    for (path, headers, text) in cases {
        let answer = ask(&mut server.client(), &format!("POST {path}"), headers, json!({}));
        assert_eq!((answer.status, answer.text()), (400, text), "{path}");
    }
    let answer = ask(
        &mut server.client(),
        "POST /flags",
        &[],
        json!({ "disable_flags": true }),
    );
    assert_eq!(answer.status, 200, "no flag asks for an id");
}

#[test]
fn without_a_salt_nothing_can_be_answered() {
    let server = server(2, &[], Ok(0), false);
    let headers = [format!("origin: {ORIGIN}"), format!("user-agent: {AGENT}")];
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let answer = ask(&mut server.client(), "POST /flags", &headers, json!({}));
    assert_eq!(answer.status, 500);
    assert_eq!(
        answer.text(),
        "An internal error occurred while processing your request."
    );
}
