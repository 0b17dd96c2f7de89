//! Two servers that are not the same: the flag is named, with a small example.

use serde_json::{Value, json};

use crate::replaying::{Replayed, replay};
use crate::server::{PROJECT, Server};
use crate::traffic;

/// The fixture with the filters of one flag changed.
fn changed(key: &str, change: impl Fn(&mut Value)) -> String {
    let mut project: Value = serde_json::from_str(PROJECT).unwrap();
    let flags = project["flags"].as_array_mut().unwrap();
    change(
        flags
            .iter_mut()
            .find(|flag| flag["key"] == key)
            .expect("there is such a flag"),
    );
    project.to_string()
}

fn against(project: &str, count: usize) -> Replayed {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bodies");
    let bodies: Vec<String> = (0..count)
        .map(|number| traffic::body(number).to_string())
        .collect();
    std::fs::write(&file, bodies.join("\n")).unwrap();
    let (a, b) = (Server::plain(), Server::start(project, &[]));
    replay(
        &file,
        &a.url(),
        &b.url(),
        &["--bodies", "/flags?v=2", "--rate", "max"],
    )
}

fn finding<'r>(replayed: &'r Replayed, key: &str) -> &'r Value {
    let findings = replayed.report["findings"].as_array().unwrap();
    findings
        .iter()
        .find(|finding| finding["flag"] == key)
        .unwrap_or_else(|| panic!("{findings:?}"))
}

#[test]
fn a_changed_condition_is_named_with_what_it_takes_to_show_it() {
    let project = changed("age-gate", |flag| {
        flag["filters"]["groups"][0]["properties"][0]["value"] = json!(21)
    });
    let replayed = against(&project, 200);
    assert_eq!(replayed.code, Some(1), "{}{}", replayed.stdout, replayed.stderr);
    assert_eq!(
        replayed.report["findings"].as_array().unwrap().len(),
        1,
        "{}",
        replayed.stdout
    );
    let finding = finding(&replayed, "age-gate");
    // Of 40 ages, 18 to 20 differ; requests for some flags only do not ask for it.
    assert_eq!(finding["fields"]["value"], replayed.report["different"]);
    assert!(finding["fields"]["reason"].as_u64().unwrap() > 0);
    let request = &finding["example"]["request"];
    assert_eq!(request["shrunk"], true);
    let body: Value = serde_json::from_str(request["body"].as_str().unwrap()).unwrap();
    let properties = body["person_properties"].as_object().unwrap();
    assert_eq!(properties.keys().collect::<Vec<_>>(), ["age"], "{body}");
    assert!((18..21).contains(&properties["age"].as_u64().unwrap()));
    assert_eq!(body["flag_keys"], json!(["age-gate"]));
    assert!(body.get("groups").is_none());
    assert!(replayed.stdout.contains("age-gate: "), "{}", replayed.stdout);
}

#[test]
fn variants_payloads_and_absent_flags_are_told_apart() {
    let project = changed("homepage-layout", |flag| {
        flag["filters"]["multivariate"]["variants"][0]["key"] = json!("renamed");
    });
    let replayed = against(&project, 60);
    assert!(
        finding(&replayed, "homepage-layout")["fields"]["variant"]
            .as_u64()
            .unwrap()
            > 0
    );
    let project = changed("always-on", |flag| {
        flag["filters"]["payloads"] = json!({ "true": "7" })
    });
    let replayed = against(&project, 10);
    assert!(
        finding(&replayed, "always-on")["fields"]["payload"]
            .as_u64()
            .unwrap()
            > 0
    );
    let project = changed("always-off", |flag| flag["active"] = json!(false));
    let replayed = against(&project, 10);
    assert!(
        finding(&replayed, "always-off")["fields"]["presence"]
            .as_u64()
            .unwrap()
            > 0
    );
    assert_eq!(replayed.code, Some(1));
}

#[test]
fn servers_that_cannot_be_asked_are_no_difference_but_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bodies");
    std::fs::write(&file, traffic::body(1).to_string()).unwrap();
    let server = Server::plain();
    let nobody = "http://127.0.0.1:1";
    let more = ["--bodies", "/flags?v=2"];
    for (a, b) in [
        (server.url(), nobody.to_owned()),
        (nobody.to_owned(), nobody.to_owned()),
    ] {
        let replayed = replay(&file, &a, &b, &more);
        assert_eq!(replayed.code, Some(2), "{}{}", replayed.stdout, replayed.stderr);
        assert!(replayed.stdout.contains("no connection"), "{}", replayed.stdout);
    }
    for wrong in ["ftp://h", "h:1", "http://", "http://u:p@h/", "http://h/?x"] {
        assert_eq!(
            replay(&file, wrong, &server.url(), &more).code,
            Some(2),
            "{wrong}"
        );
    }
    assert_eq!(
        replay(&folder.path().join("none"), &server.url(), &server.url(), &more).code,
        Some(2)
    );
}
