"""Other flag servers with the same flags: Unleash Edge without an upstream, and posthog-node behind a plain Node server."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import time

from . import build, workload
from .server import LISTENING

EDGE_VERSION = "20.1.0"
EDGE_TOKEN = "*:development.peer-compare-secret"
EDGE_CLIENT_TOKEN = "*:development.peer-compare-client"
EDGE_PATH = "/api/frontend/all"
SOURCES = build.ROOT / "scripts" / "peers"
START_LIMIT_SECONDS = 30


def folder():
    """Where peers are installed."""
    return build.target_dir() / "peers"


def install_edge():
    """Builds Edge from crates.io, some ten minutes on two cores, unless it is there; returns the program."""
    program = folder() / "bin" / "unleash-edge"
    if not program.exists():
        started = time.monotonic()
        subprocess.run(
            ["cargo", "install", "unleash-edge", "--version", EDGE_VERSION, "--locked", "--quiet", "--root", folder(),
             "--target-dir", folder() / "build"],
            cwd=folder().parent.parent, check=True,
        )
        print(f"unleash-edge {EDGE_VERSION} built in {time.monotonic() - started:.0f} s")
    return program


def install_node():
    """posthog-node as the lock file has it; returns the script to run."""
    place = folder() / "node"
    place.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "posthog-node.mjs"):
        shutil.copy(SOURCES / name, place / name)
    if not (place / "node_modules").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=place, check=True)
    return place / "posthog-node.mjs"


class Process:
    """A peer on a processor of its own."""

    def __init__(self, command, cpu, url=None):
        self.command, self.cpu, self.url = command, cpu, url

    def __enter__(self):
        self.process = subprocess.Popen(
            ["taskset", "-c", str(self.cpu), *map(str, self.command)],
            stdout=subprocess.PIPE if self.url is None else subprocess.DEVNULL, text=True,
            env={**os.environ, "RUST_LOG": "warn", "LOG_LEVEL": "warn"},
        )
        if self.url is None:
            match = LISTENING.search(self.process.stdout.readline())
            if not match:
                raise RuntimeError(f"{self.command[0]} does not listen")
            self.url = match.group(1)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def ask(self, path, body, headers):
        """The parsed answer; tries until the peer listens."""
        limit = time.monotonic() + START_LIMIT_SECONDS
        while True:
            try:
                connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=10)
                connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
                response = connection.getresponse()
                text = response.read()
                if response.status != 200:
                    raise RuntimeError(f"{self.command[0]} answers {response.status}: {text[:300]!r}")
                return json.loads(text)
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.monotonic() > limit:
                    raise
                time.sleep(0.05)


def edge(flags, cpu):
    """Edge in offline mode with the workload as its bootstrap file."""
    bootstrap = folder() / f"edge-{flags}.json"
    document = {"version": 2, "features": [toggle(flag) for flag in workload.load(flags)["flags"]]}
    bootstrap.write_text(json.dumps(document), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        install_edge(), "--interface", "127.0.0.1", "--port", port, "--workers", 1,
        # Without a client token Edge does not start offline.
        "offline", "--bootstrap-file", bootstrap, "--client-tokens", EDGE_CLIENT_TOKEN, "--frontend-tokens", EDGE_TOKEN,
    ]
    return Process(command, cpu, f"http://127.0.0.1:{port}")


def node(flags, cpu):
    """posthog-node with the workload's flags as definitions."""
    script = install_node()
    definitions = folder() / f"node-{flags}.json"
    project = workload.load(flags)
    document = {"flags": project["flags"], "group_type_mapping": {}, "cohorts": {}}
    definitions.write_text(json.dumps(document), encoding="utf-8")
    return Process(["node", script, definitions], cpu)


def edge_body(body):
    """The context that an Unleash frontend SDK sends for the same person; its properties are text."""
    properties = {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in body["person_properties"].items()
        if key != "distinct_id"
    }
    return {"userId": body["distinct_id"], "properties": properties}


def toggle(flag):
    """The Unleash form: each condition a gradual rollout sticky to the user, with variants."""
    filters = flag["filters"]
    payloads = filters.get("payloads") or {}
    variants = [
        {
            "name": variant["key"], "weight": variant["rollout_percentage"] * 10, "weightType": "fix", "stickiness": "userId",
            **({"payload": {"type": "json", "value": payloads[variant["key"]]}} if variant["key"] in payloads else {}),
        }
        for variant in (filters.get("multivariate") or {}).get("variants", [])
    ]
    strategies = [
        {
            "name": "flexibleRollout",
            "parameters": {"rollout": str(group["rollout_percentage"]), "stickiness": "userId", "groupId": flag["key"]},
            "constraints": [constraint(item) for item in group["properties"]],
            "segments": [], "variants": variants,
        }
        for group in filters["groups"]
    ]
    return {
        "name": flag["key"], "type": "release", "enabled": True, "project": "default", "stale": False,
        "impressionData": False, "strategies": strategies, "variants": [],
    }


def constraint(item):
    """The nearest Unleash constraint. It has no patterns: those of the workload are lists of first letters."""
    key, value = item["key"], item["value"]
    one = {"contextName": key, "inverted": False, "caseInsensitive": False, "values": []}
    match item["operator"]:
        case "exact":
            return {**one, "operator": "IN", "values": value}
        case "is_not":
            return {**one, "operator": "NOT_IN", "values": [value]}
        case "icontains":
            return {**one, "operator": "STR_CONTAINS", "values": [value], "caseInsensitive": True}
        case "regex":
            return {**one, "operator": "STR_STARTS_WITH", "values": list("abcdefghijklm")}
        case "gte":
            return {**one, "operator": "NUM_GTE", "value": str(value)}
        case "semver_gte":
            return {**one, "operator": "SEMVER_LT", "value": value, "inverted": True}
        case "is_date_after":
            # Unleash compares only the time of the request with dates; a text comparison of the years costs about as much.
            return {**one, "operator": "STR_STARTS_WITH", "values": ["2024", "2025", "2026"]}
        case "is_set":
            return {**one, "operator": "NOT_IN", "values": [""]}
    raise ValueError(f"no constraint for {item['operator']}")
