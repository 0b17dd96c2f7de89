"""The bare hyper server that answers everything with the same bytes, as large and with the same headers as ours."""

import statistics
import subprocess
import sys
import tempfile

from . import build
from .server import LISTENING, Client

# hyper adds these by itself.
OWN_HEADERS = {"content-length", "date", "connection"}
SAMPLED_ANSWERS = 200


def typical_answer(client, bodies):
    """Mean body size of the answers to these JSON bodies, and the headers of the last answer."""
    sizes, headers = [], {}
    for body in bodies:
        status, headers, answer = client.request(
            "POST", "/flags/?v=2", body, {"Content-Type": "application/json", "Origin": "https://shop.example"}
        )
        if status != 200:
            sys.exit(f"the server answers {status}: {answer[:200]!r}")
        sizes.append(len(answer))
        if len(sizes) == SAMPLED_ANSWERS:
            break
    return round(statistics.mean(sizes)), [item for item in headers.items() if item[0].lower() not in OWN_HEADERS]


class Floor:
    """A running floor server. Use it as a context manager."""

    def __init__(self, size, headers, cpu=None):
        self.size, self.headers, self.cpu = size, headers, cpu

    def __enter__(self):
        self.body = tempfile.NamedTemporaryFile(prefix="floor-")
        self.body.write(b"x" * self.size)
        self.body.flush()
        command = ["taskset", "-c", str(self.cpu)] if self.cpu is not None else []
        command += [str(build.release() / "examples" / "floor"), "--address", "127.0.0.1:0", "--body", self.body.name]
        for name, value in self.headers:
            command += ["--header", f"{name.lower()}: {value}"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = LISTENING.search(self.process.stdout.readline()).group(1)
        Client(self.url).request("POST", "/", b"{}")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.body.close()
