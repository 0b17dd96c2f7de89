//! The checks pass on what is there and fail on single mistakes.

use std::path::Path;

use crate::script::{ROOT, check_deploy, text};

#[test]
fn what_is_delivered_passes() {
    let output = check_deploy(&Path::new(ROOT).join("deploy"), &[]);
    assert!(output.status.success(), "{}", text(&output));
}

/// File, what is replaced and by what, and what is said then.
const MISTAKES: &[(&str, &str, &str, &str)] = &[
    (
        "kubernetes/base/deployment.yaml",
        "revisionHistoryLimit",
        "revisionHistoryLimits",
        "revisionHistoryLimits",
    ),
    (
        "kubernetes/base/configmap.yaml",
        "SHUTDOWN_DELAY_MS:",
        "SHUTDOWN_DELAY:",
        "did you mean SHUTDOWN_DELAY_MS?",
    ),
    (
        "kubernetes/base/configmap.yaml",
        "\"4500\"",
        "\"5500\"",
        "below the five seconds",
    ),
    (
        "kubernetes/base/configmap.yaml",
        "MAX_PG_CONNECTIONS: \"10\"",
        "MAX_PG_CONNECTIONS: \"x\"",
        "expected a number",
    ),
    (
        "kubernetes/base/deployment.yaml",
        "terminationGracePeriodSeconds: 45",
        "terminationGracePeriodSeconds: 30",
        "is below 40000 ms",
    ),
    (
        "kubernetes/base/deployment.yaml",
        "path: /_readiness",
        "path: /_ready",
        "/_ready: 404",
    ),
    (
        "kubernetes/base/deployment.yaml",
        "containerPort: 3001",
        "containerPort: 3002",
        "is no port of the container",
    ),
    (
        "kubernetes/base/deployment.yaml",
        "feature-flags/redis-url",
        "feature-flags/redis",
        "is no key of the mounted Secret",
    ),
    (
        "kubernetes/base/service.yaml",
        "targetPort: http",
        "targetPort: web",
        "targetPort web",
    ),
    (
        "kubernetes/base/httpproxy.yaml",
        "exact: /flags/definitions/",
        "exact: /flags/definition/",
        "/flags/definitions/ goes to",
    ),
    (
        "kubernetes/base/httpproxy.yaml",
        "value: decide",
        "value: decided",
        "X-Original-Endpoint is ['decided']",
    ),
    (
        "kubernetes/base/httpproxy.yaml",
        "response: 5s",
        "response: 6s",
        "give up after 5 s",
    ),
    ("kubernetes/base/httpproxy.yaml", "[504]", "[503]", "and on 504"),
    (
        "kubernetes/base/httpproxy.yaml",
        "retryOn: [reset,",
        "retryOn: [resets,",
        "'resets' is not one of",
    ),
    (
        "kubernetes/canary/weights.yaml",
        "weight: 0",
        "weight: 1",
        "weights [100, 1]",
    ),
    (
        "kubernetes/base/kustomization.yaml",
        "  - service.yaml\n",
        "",
        "disagree about service.yaml",
    ),
    ("Dockerfile", "USER 65532:65532", "USER root", "USER root is root"),
    ("Dockerfile", "EXPOSE 3001", "EXPOSE 8000", "EXPOSE 8000"),
    ("Dockerfile", "\"healthcheck\"", "\"health\"", "HEALTHCHECK runs"),
    (
        "prometheus/alerts.yaml",
        "sum by (le) (rate(",
        "sum by (le) (rat(",
        "unknown function",
    ),
    (
        "prometheus/alerts.yaml",
        "> 0.01",
        "> 0.05",
        "two in a hundred fail",
    ),
    (
        "grafana/feature-flags.json",
        "$instance",
        "$process",
        "unknown variable $process",
    ),
];

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[test]
fn single_mistakes_are_found() {
    // Mistakes of different files do not hide each other: one run finds all those that can stand together.
    let mut rounds: Vec<Vec<&(&str, &str, &str, &str)>> = Vec::new();
    for mistake in MISTAKES {
        let free = rounds
            .iter_mut()
            .find(|round| round.iter().all(|other| other.0 != mistake.0));
        match free {
            Some(round) => round.push(mistake),
            None => rounds.push(vec![mistake]),
        }
    }
    for round in rounds {
        let folder = tempfile::tempdir().expect("a directory");
        copy(&Path::new(ROOT).join("deploy"), folder.path());
        for (file, right, wrong, _) in &round {
            let path = folder.path().join(file);
            let before = std::fs::read_to_string(&path).expect("text");
            assert!(before.contains(right), "{file} has {right}");
            std::fs::write(&path, before.replacen(right, wrong, 1)).expect("written");
        }
        let output = check_deploy(folder.path(), &[]);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        for (file, _, wrong, expected) in round {
            assert!(
                said.contains(expected),
                "{file} with {wrong:?} must be told {expected:?}:\n{said}"
            );
        }
    }
}
