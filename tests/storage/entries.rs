//! Bytes of warmed entries: those of the specification's examples, and what a real Python reads of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use feature_flags::hypercache::{EntryKey, etag};
use serde_json::{Value, json};

use crate::object_storage::BUCKET;
use crate::process::{run, text};
use crate::stores::{Layout, Stores};
use crate::warm::{object, stores, warmed};

/// Rows as they are behind the examples of the specification, made from the examples.
async fn example_rows(stores: &Stores) {
    let flags: Value = serde_json::from_str(include_str!("../hypercache/flags.json")).expect("JSON");
    let cohort = &flags["cohorts"][0];
    let document = json!({
        "team": { "id": 7, "api_token": "phc_exampleProjectToken0001" },
        "group_type_mapping": { "0": "organization" },
        "flags": flags["flags"],
        "cohorts": [{ "id": 21, "name": cohort["name"], "cohort_type": cohort["cohort_type"], "filters": cohort["filters"] }]
    });
    stores.import_rows(&document).await;
    // What a document has no words for.
    let columns =
        "description = '', version = 3, pending_version = 3, count = 412, created_by_id = 3, groups = '[]'";
    let condition = &cohort["condition_type"];
    stores
        .sql(&format!(
            "UPDATE posthog_cohort SET {columns}, condition_type = '{condition}' WHERE id = 21"
        ))
        .await;
}

#[tokio::test]
async fn entries_of_rows_have_the_bytes_of_django() {
    let stores = Stores::start(Layout::PersonsApart).await;
    example_rows(&stores).await;
    warmed(&stores, &["--team", "7"]).await;
    for (key, example, expected) in [
        (
            EntryKey::Flags(7),
            include_str!("../hypercache/flags.json"),
            "0858169ec21b3d9a",
        ),
        (
            EntryKey::Definitions(7),
            include_str!("../hypercache/flags_with_cohorts.json"),
            "67418ed5287f14d3",
        ),
    ] {
        let written = std::fs::read(object(&stores, &key)).expect("an object");
        assert_eq!(text(&written), example.trim_end());
        assert_eq!(etag(text(&written)), expected);
    }
}

/// A Python with the pinned packages, installed under the build directory by the first test that needs it.
fn python() -> PathBuf {
    const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/storage");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("storage-python");
    let (interpreter, mark) = (folder.join("bin/python"), folder.join(".installed"));
    let requirements = Path::new(HERE).join("requirements.txt");
    let wanted = std::fs::read(&requirements).expect("requirements");
    if std::fs::read(&mark).ok().as_ref() != Some(&wanted) {
        let done = |command: &mut Command| {
            let status = command.stdout(Stdio::null()).status().expect("python3 runs");
            assert!(status.success(), "{command:?}: {status}");
        };
        done(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&folder),
        );
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
        ];
        done(Command::new(&interpreter).args(pip).arg(&requirements));
        std::fs::write(&mark, wanted).expect("the mark");
    }
    interpreter
}

#[tokio::test]
async fn python_reads_every_entry_as_django_would() {
    let stores = stores(1..=4).await;
    example_rows(&stores).await;
    warmed(&stores, &["--all"]).await;
    warmed(&stores, &["--team", "99"]).await;
    let interpreter = tokio::task::spawn_blocking(python).await.expect("no panic");
    let mut command = Command::new(interpreter);
    command
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/storage/read_entries.py"
        ))
        .arg(stores.redis.port("redis").to_string())
        .arg(stores.objects.directory.path().join(BUCKET));
    let output = run(command).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    // Four teams and the example with four entries each, and two sentinels.
    assert_eq!(text(&output.stdout), "20 entries, 10 with an ETag, 2 sentinels\n");
}
