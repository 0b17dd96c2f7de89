//! `feature-flags healthcheck` against a running server.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

/// A server in embedded mode.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().expect("ours");
        self.0.wait().expect("it ends");
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_feature-flags"));
    command.env_clear().stdin(Stdio::null());
    command
}

fn start() -> (Server, String) {
    let mut child = program()
        .args(["dev", "--address", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let server = Server(child);
    let first = lines.next().expect("a line").expect("UTF-8");
    let address = first
        .strip_prefix("feature-flags listening on http://")
        .expect("an address")
        .to_owned();
    std::thread::spawn(move || lines.for_each(drop));
    (server, address)
}

fn healthcheck(address: &str, arguments: &[&str]) -> Output {
    let mut command = program();
    command.arg("healthcheck").args(arguments).env("ADDRESS", address);
    command.output().expect("the program starts")
}

#[test]
fn the_exit_status_tells_whether_a_probe_answers() {
    let (server, address) = start();
    for path in ["/_readiness", "/_liveness", "/_startup"] {
        // Liveness is bad until the first heartbeat: asked again until then, which is not long.
        let output = std::iter::repeat_with(|| healthcheck(&address, &["--path", path]))
            .take(100)
            .find(|output| output.status.success());
        let output = output.unwrap_or_else(|| panic!("{path} does not get well"));
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    }
    let output = healthcheck("0.0.0.0:1", &["--url", &format!("http://{address}")]);
    assert!(output.status.success(), "--url wins: {output:?}");
    let output = healthcheck(&address, &["--path", "/nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("/nowhere: 404"), "{said}");
    drop(server);
    let output = healthcheck(&address, &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("Connection refused"), "{said}");
}

#[test]
fn a_running_server_is_recognised_by_check() {
    let (_server, address) = start();
    let output = program()
        .arg("check")
        .env("ADDRESS", &address)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains(&format!("a feature-flags process listens on {address}")),
        "{said}"
    );
}

#[test]
fn what_cannot_be_asked_is_said() {
    for (address, arguments, reason) in [
        ("127.0.0.1:0", &[][..], "say with --url"),
        ("nowhere", &[], "ADDRESS=\"nowhere\": expected"),
        ("127.0.0.1:1", &["--url", "https://h"], "expected a URL such as"),
    ] {
        let output = healthcheck(address, arguments);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(reason), "{said}");
    }
}
