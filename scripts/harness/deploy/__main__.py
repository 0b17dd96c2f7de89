"""Runs every check and prints what is wrong."""

import json
import os
import subprocess
import sys

from . import DEPLOY, dockerfile, licences, manifests, promql, routes


def promtool(*arguments):
    try:
        run = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        yield "promtool is missing: install the Debian package prometheus"
        return
    if run.returncode != 0:
        yield run.stdout + run.stderr


def main():
    if sys.argv[1:] == ["--names"]:
        print("\n".join(sorted(promql.used())))
        return 0
    binary = os.environ["FEATURE_FLAGS_BIN"]
    base, canary = manifests.load(manifests.BASE), manifests.with_canary()
    said = subprocess.run([binary, "config", "--json"], env={}, capture_output=True, text=True, check=True)
    settings = {setting["name"] for setting in json.loads(said.stdout)["settings"]}
    rules = DEPLOY / "prometheus"
    checks = {
        "manifests: schemas": [*manifests.schema_problems(base), *manifests.schema_problems(canary)],
        "manifests: kustomizations": manifests.kustomization_problems(),
        "manifests: agreement": [*manifests.consistency_problems(base), *manifests.consistency_problems(canary)],
        "manifests: settings and times": manifests.program_problems(base, binary),
        "manifests: probes": manifests.probe_problems(base, binary),
        "routes": routes.problems(base),
        "routes with a canary": routes.problems(canary),
        "Dockerfile": dockerfile.problems(3001, settings),
        "deny.toml: licences, bans, sources": licences.problems(),
        "dashboard and rules: names": promql.problems(),
        "rules: promtool": promtool("check", "rules", str(rules / "alerts.yaml")),
        "rules: tests": promtool("test", "rules", str(rules / "alerts_test.yaml")),
    }
    failed = 0
    for name, problems in checks.items():
        found = list(problems)
        failed += bool(found)
        print(f"{'failed' if found else 'ok    '}  {name}")
        for problem in found:
            print(f"        {problem}")
    return 1 if failed else 0


sys.exit(main())
