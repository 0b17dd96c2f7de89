//! Running the project's scripts with the binary of this build.

use std::path::Path;
use std::process::{Command, Output};

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Runs `scripts/check-deploy` over a folder like `deploy/`.
pub fn check_deploy(folder: &Path, arguments: &[&str]) -> Output {
    // Several tests may want the packages on the first run; one installs them, the others wait.
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    Command::new(format!("{ROOT}/scripts/check-deploy"))
        .args(arguments)
        .env("FEATURE_FLAGS_BIN", env!("CARGO_BIN_EXE_feature-flags"))
        .env("FEATURE_FLAGS_DEPLOY", folder)
        .output()
        .expect("the script starts")
}

pub fn text(output: &Output) -> String {
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    format!("{out}{err}")
}
