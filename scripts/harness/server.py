"""Starts the server on a free port with its own store, and talks to it over one kept connection."""

import http.client
import json
import os
import re
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from . import build

LISTENING = re.compile(r"listening on (http://\S+)")
START_LIMIT_SECONDS = 30
# Below a tool such as valgrind.
WRAPPED_START_LIMIT_SECONDS = 180


class ServerError(Exception):
    """The server could not be started or has gone away."""


def import_documents(documents, store, binary=None):
    """Loads project documents into a store; raises with the program's own words if it refuses."""
    lines = "\n".join(json.dumps(document) for document in documents) + "\n"
    run = subprocess.run(
        [binary or build.server_binary(), "import", "-", "--store", str(store)],
        input=lines.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    if run.returncode != 0:
        raise ServerError(f"import failed with {run.returncode}:\n{run.stdout.decode(errors='replace')[:4000]}")


class Server:
    """A running server. Use it as a context manager; the process ends with the block."""

    def __init__(self, documents=(), cpu=None, env=None, binary=None, wrapper=()):
        self.binary = binary or build.server_binary()
        self.documents = documents
        self.wrapper = wrapper
        self.start_limit_seconds = WRAPPED_START_LIMIT_SECONDS if wrapper else START_LIMIT_SECONDS
        self.cpu = cpu
        self.env = env or {}

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="feature-flags-")
        store = Path(self.folder.name) / "store.sqlite"
        if self.documents:
            import_documents(self.documents, store, self.binary)
        command = [*self.wrapper, str(self.binary), "dev", "--address", "127.0.0.1:0", "--store", str(store)]
        if self.cpu is not None:
            command = ["taskset", "-c", str(self.cpu)] + command
        self.log = Path(self.folder.name) / "stderr"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log,
                # Lines of requests are measured apart, by whoever sets the level.
                env={**os.environ, "LOG_LEVEL": "warn", **self.env},
            )
        try:
            self.url = self._wait_for_url()
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()

    def _wait_for_url(self):
        found = []
        ready = threading.Event()

        def read():
            # Read to the end, so that the server never blocks on a full pipe.
            for line in self.process.stdout:
                match = LISTENING.search(line.decode(errors="replace"))
                if match and not found:
                    found.append(match.group(1))
                    ready.set()
            ready.set()

        threading.Thread(target=read, daemon=True).start()
        ready.wait(self.start_limit_seconds)
        if not found:
            raise ServerError(f"no 'listening on URL' line within {self.start_limit_seconds} s{self._last_words()}")
        return found[0].rstrip("/")

    def _wait_until_ready(self):
        client = self.client()
        limit = time.monotonic() + self.start_limit_seconds
        while True:
            try:
                if client.request("GET", "/_readiness")[0] == 200:
                    return
            except OSError:
                pass
            if time.monotonic() > limit or self.process.poll() is not None:
                raise ServerError(f"the server never became ready{self._last_words()}")
            time.sleep(0.05)

    def _last_words(self):
        return ":\n" + self.log.read_text(errors="replace")[-2000:]

    def client(self):
        """A new client with its own connection."""
        return Client(self.url)


class Client:
    """One keep-alive connection."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)

    def request(self, method, path, body=None, headers=None):
        """Status, headers and body bytes."""
        try:
            self.connection.request(method, path, body=body, headers=headers or {})
            response = self.connection.getresponse()
            return response.status, response.headers, response.read()
        except (http.client.HTTPException, OSError):
            self.connection.close()
            raise

    def post_json(self, path, document):
        """The parsed answer; anything but a 200 with JSON raises."""
        body = json.dumps(document, separators=(",", ":")).encode()
        status, headers, answer = self.request("POST", path, body, {"Content-Type": "application/json"})
        if status != 200:
            raise ServerError(f"POST {path}: {status} {answer[:200].decode(errors='replace')}")
        if headers.get("content-type") != "application/json":
            raise ServerError(f"POST {path}: content-type {headers.get('content-type')}")
        return json.loads(answer)

    def flags(self, token, context, **more):
        """`POST /flags?v=2` for one request context of the conformance files."""
        body = {"token": token, "distinct_id": context["distinct_id"], **more}
        for key in ("person_properties", "groups", "group_properties"):
            if key in context:
                body[key] = context[key]
        if context.get("device_id") is not None:
            body["$device_id"] = context["device_id"]
        return self.post_json("/flags?v=2", body)
