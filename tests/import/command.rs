//! The import command, run as a function.

use std::sync::Arc;

use feature_flags::store::embedded::{EmbeddedStore, run_import};

use crate::load::load;
use crate::support::SDK_FIXTURE;

#[tokio::test]
async fn a_sound_file_is_imported_with_code_0() {
    let directory = tempfile::tempdir().expect("directory");
    let (file, path) = (
        directory.path().join("project.json"),
        directory.path().join("store.sqlite"),
    );
    std::fs::write(&file, SDK_FIXTURE).expect("write");
    assert_eq!(run_import(file.to_str().expect("text"), &path), 0);
    let store = Arc::new(EmbeddedStore::open(&path).expect("opens"));
    assert!(load(&store, "phc_sdk_fixture_4242").await.is_some());
}

#[tokio::test]
async fn a_refused_or_absent_file_is_code_1() {
    let directory = tempfile::tempdir().expect("directory");
    let (file, path) = (
        directory.path().join("project.json"),
        directory.path().join("store.sqlite"),
    );
    std::fs::write(
        &file,
        SDK_FIXTURE
            .replace("\"gte\"", "\"at least\"")
            .replace("\"exact\"", "7"),
    )
    .expect("write");
    assert_eq!(run_import(file.to_str().expect("text"), &path), 1);
    assert_eq!(run_import("/absent/project.json", &path), 1);
    let unwritable = directory.path().join("absent").join("store.sqlite");
    assert_eq!(run_import(file.to_str().expect("text"), &unwritable), 1);
    let store = Arc::new(EmbeddedStore::open(&path).expect("opens"));
    assert!(load(&store, "phc_sdk_fixture_4242").await.is_none());
}
