"""Requests of every kind through the generator: plain, compressed, as a form, with stored persons, for definitions."""

import base64
import gzip
import json
import subprocess
import tempfile
from pathlib import Path

from . import build, workload

KINDS = {
    "plain": "JSON bodies of 20,000 persons",
    "gzip": "the same bodies, compressed with gzip",
    "base64": "the same bodies as the base64 form field `data`",
    "person": "bodies without properties, so that every request reads the person's row (embedded store)",
    "definitions": "`GET /flags/definitions` with the current ETag, answered 304",
}
SECRET = "phs_requests_secret"


def document(flags):
    """The workload with a secret token, which definitions are asked with."""
    project = workload.load(flags)
    project["team"]["secret_api_token"] = SECRET
    return project


class Generator:
    """A running generator. `wait` returns whether all answers were right."""

    def __init__(self, server, flags, kind, seconds, connections):
        self.folder = tempfile.TemporaryDirectory()
        token = workload.load(flags)["team"]["api_token"]
        bodies = Path(self.folder.name) / "bodies"
        with bodies.open("wb") as file:
            for body in workload.bodies(token):
                file.write(encoded(body, kind))
        command = [
            "taskset", "-c", "1", str(build.example_binary("loadgen")), "--address", server.url.removeprefix("http://"),
            "--bodies", str(bodies), "--seconds", str(seconds), "--connections", str(connections), *arguments(server, token, kind),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def wait(self):
        failed = self.process.wait()
        self.folder.cleanup()
        return not failed


def run(server, flags, kind, seconds, connections):
    """One run to its end; raises when an answer was not as expected."""
    if not Generator(server, flags, kind, seconds, connections).wait():
        raise RuntimeError(f"{flags} flags, {kind}: the generator failed")


def arguments(server, token, kind):
    if kind == "gzip":
        return ["--frames", "--header", "Content-Encoding: gzip"]
    if kind == "base64":
        return ["--content-type", "application/x-www-form-urlencoded"]
    if kind != "definitions":
        return []
    path = f"/flags/definitions?token={token}"
    status, headers, answer = server.client().request("GET", path, headers={"Authorization": f"Bearer {SECRET}"})
    if status != 200:
        raise RuntimeError(f"definitions: {status} {answer[:200]!r}")
    return [
        "--method", "GET", "--path", path, "--expect", "304", "--header", f"Authorization: Bearer {SECRET}",
        "--header", f"If-None-Match: {headers['etag']}",
    ]


def encoded(body, kind):
    """One request body as the generator's file has it."""
    if kind == "person":
        body = {key: value for key, value in body.items() if key != "person_properties"}
    text = json.dumps(body, separators=(",", ":")).encode()
    if kind == "gzip":
        packed = gzip.compress(text, mtime=0)
        return len(packed).to_bytes(4, "little") + packed
    if kind == "base64":
        return b"data=" + base64.b64encode(text).replace(b"+", b"%2B").replace(b"/", b"%2F").replace(b"=", b"%3D") + b"\n"
    return text + b"\n"
