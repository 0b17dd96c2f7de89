//! Stored values, canonical text and entries built from rows, against Django's bytes and Python itself.

use std::io::Write;
use std::process::{Command, Stdio};

use feature_flags::hypercache::json::Json;
use feature_flags::hypercache::pickle::{self, PickleError};
use feature_flags::hypercache::value::{self, Compression, MISSING, Stored, ValueError};
use feature_flags::hypercache::{
    CohortRow, FlagRow, ProjectRows, TEAM_SETTING_COLUMNS, TeamRow, build, etag,
};
use proptest::prelude::*;

const FLAGS: &str = include_str!("hypercache/flags.json");
const DEFINITIONS: &str = include_str!("hypercache/flags_with_cohorts.json");
const TEAM: &str = include_str!("hypercache/full_metadata.json");
const ONE_FLAG: &str = include_str!("hypercache/one_flag.json");
const TWO_FLAGS: &str = include_str!("hypercache/two_flags.json");
const TWO_FLAGS_STORED: &str = include_str!("hypercache/two_flags.hex");
const CEILING: usize = 1 << 20;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn text(value: &[u8]) -> String {
    match value::decode(value, CEILING).unwrap() {
        Stored::Text(text) => text.into_owned(),
        Stored::Missing => MISSING.to_owned(),
    }
}

#[test]
fn values_are_those_of_django() {
    let vectors = [
        (
            "__missing__",
            "8004950f000000000000008c0b5f5f6d697373696e675f5f942e",
        ),
        (r#"{"a": 1}"#, "8004950c000000000000008c087b2261223a20317d942e"),
        (
            "851393e8dd161d99",
            "80049514000000000000008c1038353133393365386464313631643939942e",
        ),
        ("1", "80049505000000000000008c0131942e"),
    ];
    for (plain, stored) in vectors {
        assert_eq!(value::encode(plain, Compression::Zstd), hex(stored));
        assert_eq!(text(&hex(stored)), plain);
    }
    assert_eq!(text(&hex("800358070000007b2261223a317d2e")), r#"{"a":1}"#);
    assert_eq!(value::decode(&hex(vectors[0].1), CEILING), Ok(Stored::Missing));
    let accents = Json::parse(r#"{"k": "é😀"}"#, CEILING).unwrap().canonical();
    assert_eq!(
        value::encode(&accents, Compression::Zstd),
        hex("8004951f000000000000008c1b7b226b223a20225c75303065395c75643833645c7564653030227d942e")
    );
}

#[test]
fn long_values_are_compressed_as_django_does() {
    assert_eq!(etag(ONE_FLAG), "70235439c019926a");
    let one = value::encode(ONE_FLAG, Compression::Zstd);
    assert_eq!(
        (one.len(), &one[..16]),
        (498, &hex("800495e70100000000000058e001000000")[..16])
    );
    assert_eq!(etag(TWO_FLAGS), "274652d715a17722");
    assert_eq!(text(&hex(TWO_FLAGS_STORED)), TWO_FLAGS);
    assert_eq!(value::encode(TWO_FLAGS, Compression::Zstd), hex(TWO_FLAGS_STORED));
    assert_eq!(value::encode(TWO_FLAGS, Compression::Off).len(), 849);

    let xs = "x".repeat(600);
    let django = hex("28b52ffd606a01bd0000708004955f0200585802000078942e0200544095161401");
    assert_eq!(value::encode(&xs, Compression::Zstd), django);
    assert_eq!(text(&django), xs);
    assert_eq!(
        text(&hex("28b52ffd00588500004880035858020000782e0100542ac005")),
        xs
    );

    let plain = |length| value::encode(&"x".repeat(length), Compression::Zstd).starts_with(&[0x80]);
    assert!(plain(494) && !plain(495));
    assert!(pickle::encode(&"x".repeat(70_000)).starts_with(&hex("8004587011010078")));
}

#[test]
fn a_bomb_costs_no_more_than_the_ceiling() {
    let bomb = value::encode(&"x".repeat(64 << 20), Compression::Zstd);
    assert!(bomb.len() < 16_384);
    assert_eq!(value::decode(&bomb, CEILING), Err(ValueError::TooLarge(CEILING)));
    let broken = hex("28b52ffdffffffff");
    assert_eq!(
        value::decode(&broken, CEILING),
        Err(ValueError::Pickle(PickleError::Opcode(0x28)))
    );
}

#[test]
fn anything_but_a_string_is_refused() {
    for (pickle, error) in [
        ("80044b012e", PickleError::Opcode(0x4b)),
        ("80068c00942e", PickleError::Protocol(6)),
        ("8004", PickleError::Truncated),
        ("80048cff61", PickleError::Truncated),
        ("80048c0161942e2e", PickleError::Trailing),
        ("80048c01ff942e", PickleError::Utf8),
        ("800495ffffffffffffffff8c00942e", PickleError::Frame),
        ("8004636f730a73797374656d0a2e", PickleError::Opcode(0x63)),
        ("80048dffffffffffffffff61942e", PickleError::Truncated),
    ] {
        assert_eq!(pickle::decode(&hex(pickle)), Err(error), "{pickle}");
    }
    assert_eq!(pickle::decode_integer(&hex("80044b2a2e")), Ok(42));
    assert_eq!(pickle::decode_integer(&hex("80044affffffff2e")), Ok(-1));
    assert!(pickle::decode_integer(&hex("80048c0161942e")).is_err());
}

proptest! {
    #[test]
    fn what_is_written_reads_back(plain in "(?s).{0,700}", off: bool) {
        prop_assume!(plain != MISSING);
        let compression = if off { Compression::Off } else { Compression::Zstd };
        let stored = value::encode(&plain, compression);
        prop_assert_eq!(text(&stored), plain.clone());
        let second: String = serde_pickle::from_slice(&pickle::encode(&plain), serde_pickle::DeOptions::new()).unwrap();
        prop_assert_eq!(second, plain);
    }

    #[test]
    fn hostile_values_are_answered(mut bytes in prop::collection::vec(any::<u8>(), 0..200), head in 0_usize..4) {
        let heads: [&[u8]; 4] = [&[], &[0x80, 4], &[0x28, 0xb5, 0x2f, 0xfd], &[0x80, 4, 0x58]];
        bytes.splice(0..0, heads[head].iter().copied());
        let _ = value::decode(&bytes, 4096);
        let _ = pickle::decode_integer(&bytes);
    }

    #[test]
    fn hostile_json_is_answered(text in r#"[\[\]{}",:\\u0-9a-fE+\-. ]{0,60}"#) {
        let ours = Json::parse(&text, CEILING).is_ok();
        let theirs = serde_json::from_str::<Box<serde_json::value::RawValue>>(&text).is_ok();
        // The other reader takes half a surrogate pair in raw text; nothing else may differ.
        prop_assert!(ours == theirs || text.contains("\\u"), "{}", text);
    }
}

fn python(script: &str, input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn python_reads_our_pickles_and_writes_the_same() {
    for length in [0, 255, 256, 494, 65_535, 65_536, 70_000] {
        let plain = "y".repeat(length);
        let script =
            "import pickle,sys; t=pickle.load(sys.stdin.buffer); sys.stdout.buffer.write(pickle.dumps(t, 4))";
        assert_eq!(
            python(script, &pickle::encode(&plain)),
            pickle::encode(&plain),
            "{length}"
        );
    }
}

#[test]
fn canonical_text_is_that_of_python() {
    // Documents that Python draws, each beside what Python makes of it.
    let script = r#"
import json, random, struct, sys
draw = random.Random(7)
numbers = ["0", "-0", "-0.0", "1.50", "1E5", "1e16", "1e15", "1e-4", "1e-5", "1e-7", "123456789012345678901234567890", "5e-324",
    "1.7976931348623157e308", "0.1", "9007199254740993.0", "1e22", "1e23", "100.0", "12345678901234567.0", "-1.5e+300", "0.00012"]
def number():
    if draw.random() < .4: return draw.choice(numbers)
    if draw.random() < .3: return str(draw.randint(-10**draw.randint(1, 40), 10**20))
    value = struct.unpack("d", struct.pack("Q", draw.getrandbits(64)))[0]
    if value != value or value in (float("inf"), float("-inf")): value = 1.0
    return draw.choice(["%r", "%.3e", "%.17g"]) % (value if draw.random() < .5 else draw.uniform(-1e6, 1e6))
def text():
    points = [draw.choice([draw.randrange(0x80), draw.randrange(0x800), draw.randrange(0x10000), draw.randrange(0x110000)]) for _ in range(draw.randint(0, 6))]
    value = "".join(chr(p) for p in points if not 0xd800 <= p < 0xe000)
    return json.dumps(value, ensure_ascii=draw.random() < .5)
def value(depth):
    kind = draw.randrange(7 if depth < 5 else 4)
    if kind == 0: return draw.choice(["null", "true", "false"])
    if kind in (1, 2): return number()
    if kind == 3: return text()
    space = draw.choice(["", " ", "\n\t"])
    items = range(draw.randint(0, 5))
    if kind == 4: return "[" + space + ("," + space).join(value(depth + 1) for _ in items) + "]"
    return "{" + (space + ",").join(space + text() + space + ":" + value(depth + 1) for _ in items) + space + "}"
for _ in range(5000):
    source = value(0)
    print(json.dumps(source)); print(json.dumps(json.dumps(json.loads(source), sort_keys=True)))
"#;
    let output = String::from_utf8(python(script, b"")).unwrap();
    let lines: Vec<String> = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 10_000);
    for pair in lines.chunks(2) {
        let ours = Json::parse(&pair[0], CEILING).map(|json| json.canonical());
        assert_eq!(ours.as_deref(), Ok(pair[1].as_str()), "{}", pair[0]);
    }
}

#[test]
fn json_is_bounded() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(Json::parse(&deep(200), CEILING).is_ok());
    assert!(Json::parse(&deep(201), CEILING).is_err());
    assert!(Json::parse(&deep(400_000), CEILING).is_err());
    assert!(Json::parse("123456", 5).is_err());
}

/// The rows that the example of the specification was built from.
fn example() -> ProjectRows {
    let entry: serde_json::Value = serde_json::from_str(FLAGS).unwrap();
    let string = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let int = |value: &serde_json::Value| value.as_i64().map(|value| i32::try_from(value).unwrap());
    let json = |value: &serde_json::Value| (!value.is_null()).then(|| value.to_string());
    let flags = entry["flags"].as_array().unwrap().iter();
    let flags = flags.map(|flag| FlagRow {
        id: int(&flag["id"]).unwrap(),
        team_id: 7,
        name: string(&flag["name"]).unwrap(),
        key: string(&flag["key"]).unwrap(),
        filters: flag["filters"].to_string(),
        deleted: false,
        active: flag["active"] == true,
        ensure_experience_continuity: flag["ensure_experience_continuity"].as_bool(),
        version: int(&flag["version"]),
        evaluation_runtime: string(&flag["evaluation_runtime"]),
        bucketing_identifier: string(&flag["bucketing_identifier"]),
        evaluation_contexts: serde_json::from_value(flag["evaluation_contexts"].clone()).unwrap(),
        has_experiment: flag["has_experiment"].as_bool(),
    });
    let cohort = &entry["cohorts"][0];
    let cohort = CohortRow {
        id: 21,
        team_id: 7,
        name: string(&cohort["name"]),
        description: string(&cohort["description"]),
        filters: json(&cohort["filters"]),
        version: Some(3),
        pending_version: Some(3),
        count: Some(412),
        groups: Some("[]".to_owned()),
        created_by_id: Some(3),
        cohort_type: string(&cohort["cohort_type"]),
        condition_type: json(&cohort["condition_type"]),
        ..CohortRow::default()
    };
    ProjectRows {
        team: TeamRow {
            id: 7,
            property_matching_version: 1,
            ..TeamRow::default()
        },
        flags: flags.collect(),
        cohorts: vec![cohort],
        ..ProjectRows::default()
    }
}

#[test]
fn entries_built_from_rows_are_the_examples() {
    let mut rows = example();
    // Blanked in one entry, as it is in the other; an inactive flag that nothing names is only in the other.
    assert_eq!(build::flags_payload(&rows), FLAGS);
    assert_eq!(etag(FLAGS), "0858169ec21b3d9a");
    assert_eq!(value::encode(FLAGS, Compression::Off).len(), 3872);
    let definitions = build::definitions_payload(&rows, &[(0, "organization".to_owned())]);
    assert_eq!(definitions, DEFINITIONS);
    assert_eq!(etag(DEFINITIONS), "67418ed5287f14d3");

    let unused = FlagRow {
        id: 200,
        team_id: 7,
        key: "unused".into(),
        filters: r#"{"groups": [{}]}"#.into(),
        ..FlagRow::default()
    };
    rows.flags.push(unused);
    rows.flags[3].filters = r#"{"groups": [{"rollout_percentage": 3}]}"#.to_owned();
    assert_eq!(build::flags_payload(&rows), FLAGS);
    let definitions = build::definitions_payload(&rows, &[]);
    assert!(
        definitions.contains(r#""key": "unused""#) && definitions.contains(r#"{"rollout_percentage": 3}"#)
    );
    rows.survey_flag_ids.push(200);
    assert!(!build::definitions_payload(&rows, &[]).contains(r#""key": "unused""#));
}

#[test]
fn a_team_without_flags_has_an_entry() {
    let empty = build::flags_payload(&ProjectRows::default());
    assert_eq!(etag(&empty), "851393e8dd161d99");
    assert_eq!(value::encode(&empty, Compression::Zstd).len(), 147);
}

#[test]
fn cyclic_chains_are_empty_and_others_are_in_order() {
    let flag = |id: i32, key: &str, on: &[i32]| {
        let properties: Vec<String> = on
            .iter()
            .map(|id| format!(r#"{{"type": "flag", "key": "{id}"}}"#))
            .collect();
        let filters = format!(r#"{{"groups": [{{"properties": [{}]}}]}}"#, properties.join(", "));
        FlagRow {
            id,
            key: key.to_owned(),
            filters,
            active: true,
            ..FlagRow::default()
        }
    };
    let rows = ProjectRows {
        flags: vec![
            flag(1, "a", &[]),
            flag(2, "b", &[1]),
            flag(3, "c", &[2, 1]),
            flag(4, "d", &[5, 3]),
            flag(5, "e", &[5]),
            flag(6, "f", &[4]),
        ],
        ..ProjectRows::default()
    };
    let text = build::definitions_payload(&rows, &[]);
    assert!(
        text.contains(r#"{"dependency_chain": ["a", "b", "c"], "key": "c", "type": "flag"}"#),
        "{text}"
    );
    assert!(
        text.contains(r#"{"dependency_chain": [], "key": "e", "type": "flag"}"#),
        "{text}"
    );
    assert!(
        text.contains(r#"{"dependency_chain": [], "key": "d", "type": "flag"}"#),
        "{text}"
    );
}

#[test]
fn malformed_filters_are_kept() {
    let mut rows = example();
    rows.flags[0].filters = "not json".to_owned();
    let text = build::flags_payload(&rows);
    assert!(text.contains(r#""filters": "not json""#));
}

#[test]
fn the_team_entry_is_the_example() {
    let team: serde_json::Value = serde_json::from_str(TEAM).unwrap();
    let string = |name: &str| team[name].as_str().map(str::to_owned);
    let settings = TEAM_SETTING_COLUMNS.iter().map(|column| match *column {
        "session_recording_sample_rate" => "0.50".to_owned(),
        column => team[column].to_string(),
    });
    let mut row = TeamRow {
        id: 7,
        project_id: Some(7),
        organization_id: string("organization_id"),
        uuid: string("uuid").unwrap(),
        name: string("name").unwrap(),
        api_token: string("api_token").unwrap(),
        secret_api_token: string("secret_api_token"),
        secret_api_token_backup: None,
        timezone: string("timezone").unwrap(),
        organization_name: string("organization_name"),
        project_name: string("project_name"),
        minimal_flag_called_events: false,
        property_matching_version: 1,
        settings: settings.collect(),
        trigger_groups: None,
    };
    let place = TEAM_SETTING_COLUMNS
        .iter()
        .position(|name| *name == "session_recording_sample_rate")
        .unwrap();
    let mut expected = team.clone();
    // Columns that the example leaves out are null.
    for column in TEAM_SETTING_COLUMNS {
        expected[column] = team[column].clone();
    }
    let built = build::team_payload(&row);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&built).unwrap(),
        expected
    );
    row.settings[place] = "1.00".to_owned();
    assert!(build::team_payload(&row).contains(r#""session_recording_sample_rate": null"#));
}
