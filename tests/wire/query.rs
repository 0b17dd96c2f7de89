//! The query string is looked at before body and method (`http.md` 2.2, 3.1).

use crate::harness::Harness;

const PREFIX: &str = "Failed to deserialize query string: ";

#[test]
fn a_bad_value_is_400_for_every_method() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    for method in ["GET", "POST", "PUT", "DELETE"] {
        for path in ["/flags", "/decide/"] {
            let answer = client.request(&format!("{method} {path}?_=abc"), &[], b"");
            assert_eq!(answer.status, 400, "{method} {path}");
            assert!(answer.text().starts_with(PREFIX), "{}", answer.text());
            assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        }
    }
    assert_eq!(client.request("HEAD /flags?_=abc", &[], b"").status, 400);
}

#[test]
fn a_field_twice_is_400_also_under_its_other_name() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    for (query, field) in [
        ("v=2&v=2", "version"),
        ("v=2&version=2", "version"),
        ("config=1&config=1", "config"),
        ("_=1&sent_at=1", "sent_at"),
        ("ver=1&lib_version=1", "lib_version"),
        ("compression=gzip&compression=gzip", "compression"),
    ] {
        let answer = client.request(&format!("GET /flags?{query}"), &[], b"");
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.text(), format!("{PREFIX}duplicate field `{field}`"));
    }
}

#[test]
fn what_is_empty_or_unknown_is_no_error() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    for query in [
        "",
        "_=",
        "_=1767225600123",
        "ip=1&ip=1",
        "v=99999999999",
        "&&",
        "config",
        "%76=2",
    ] {
        assert_eq!(
            client.request(&format!("GET /flags?{query}"), &[], b"").status,
            200,
            "{query}"
        );
    }
}

#[test]
fn escapes_are_decoded_before_names_are_compared() {
    let server = Harness::start(&[]);
    let answer = server.client().request("GET /flags?%76=%32", &[], b"");
    assert!(answer.json().get("flags").is_some());
}
