"""Load scenarios: what is sent, and what must come of it."""

import json
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from . import k6, workload
from .floor import Floor, typical_answer
from .server import Client, Server

# The rate of a scenario is this share of what k6 gets out of the server.
RATE_SHARE = 0.5
# A floor faster than this is taken as this slow: below it, the scheduler of a shared machine is what is measured.
FLOOR_P95_MS = 2.0
P95_RATIO_MAX = 3.0
DROPPED_SHARE_MAX = 0.01
# Neighbours on a shared machine spoil a run, never make one: the best of these counts. Failures count in every run.
ATTEMPTS = 3
COLD_P95_MS_MAX = 500
COLD_TEAMS = 300


def document(flags, number):
    """The workload of that size for another team: rows and tokens are unique in a store."""
    project = workload.load(flags)
    project["team"].update(id=1_000 + number, api_token=f"phc_load_{number}", name=f"Load {number}")
    for index, flag in enumerate(project["flags"]):
        flag["id"] = 1_000_000 + number * 1_000 + index
    return project


def mix(parts):
    """Documents and teams of `(flags, teams, slots of each)`."""
    documents, teams = [], []
    for flags, count, weight in parts:
        for _ in range(count):
            project = document(flags, len(documents))
            documents.append(project)
            teams.append({"token": project["team"]["api_token"], "flags": flags, "weight": weight})
    return documents, teams


# By name: teams as above, and the encoding of bodies.
STEADY = {
    "small-only": ([(10, 20, 5)], "json"),
    "mixed": ([(10, 43, 2), (250, 7, 2)], "json"),
    "hot-team": ([(50, 1, 90), (50, 10, 1)], "json"),
    "gzip": ([(50, 20, 5)], "gzip"),
    "base64": ([(50, 20, 5)], "base64"),
}


def bodies_of(teams):
    """JSON bodies in the proportions of the teams, for the size of the floor's answer."""
    for team in teams:
        for number in range(max(1, team["weight"] // 2)):
            yield json.dumps({"token": team["token"], "distinct_id": f"size-{number}", "person_properties": {"plan": "pro"}})


def run_steady(name, seconds):
    """Capacity, then the server and the floor at half of it in turns. Returns complaints."""
    parts, encoding = STEADY[name]
    documents, teams = mix(parts)
    complaints = []
    with Server(documents) as server:
        size, headers = typical_answer(server.client(), bodies_of(teams))
        plan = {"url": server.url, "judged": True, "encoding": encoding, "teams": teams}
        capacity = k6.Run({**plan, "users": 32, "seconds": 3}).result()
        complaints += failures("at capacity", capacity)
        rate = max(1, round(capacity["rate"] * RATE_SHARE))
        print(f"{name}: k6 reaches {capacity['rate']:.0f} requests/s, {rate} is sent", flush=True)
        slow = []
        with Floor(size, headers) as floor:
            for _ in range(ATTEMPTS):
                ours = k6.Run({**plan, "rate": rate, "seconds": seconds}).result()
                bare = k6.Run({**plan, "url": floor.url, "judged": False, "rate": rate, "seconds": seconds}).result()
                ratio = ours["p(95)"] / max(bare["p(95)"], FLOOR_P95_MS)
                share = ours["dropped"] / (rate * seconds)
                print(
                    f"  p95 {ours['p(95)']:.2f} ms, floor {bare['p(95)']:.2f} ms, ratio {ratio:.2f} (at most {P95_RATIO_MAX}); "
                    f"dropped {share:.2%} (at most {DROPPED_SHARE_MAX:.0%}); failed checks {ours['failed_checks']} of "
                    f"{ours['checks'] + ours['failed_checks']}", flush=True,
                )
                complaints += failures("the server", ours) + failures("the floor", bare)
                slow = [f"p95 ratio {ratio:.2f}"] if ratio > P95_RATIO_MAX else []
                slow += [f"dropped {share:.2%}"] if share > DROPPED_SHARE_MAX else []
                if complaints or not slow:
                    break
    return complaints + slow


def run_cold_start(seconds):
    """The first request of many teams after a start, each of them once a second at most."""
    documents, teams = mix([(50, COLD_TEAMS, 1)])
    with Server(documents) as server:
        plan = {"url": server.url, "judged": True, "encoding": "json", "teams": teams, "once": True}
        result = k6.Run({**plan, "rate": max(1, COLD_TEAMS // seconds), "seconds": seconds}).result()
    print(f"cold-start: {result['requests']} first requests, p95 {result['p(95)']:.1f} ms (at most {COLD_P95_MS_MAX}), slowest {result['max']:.1f} ms")
    slow = [f"cold p95 {result['p(95)']:.1f} ms"] if result["p(95)"] > COLD_P95_MS_MAX else []
    return failures("cold", result) + slow


HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout check 5s
  retries 0
  http-reuse always
  option httpchk GET /_readiness
frontend front
  bind {address}
  default_backend servers
backend servers
  default-server check inter 100ms fall 1 rise 1
"""


def free_port():
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run_drain(seconds):
    """Two servers behind HAProxy, which never retries; one is told to stop under load."""
    documents, teams = mix([(50, 20, 5)])
    settings = {"SHUTDOWN_DELAY_MS": "3000"}
    address = f"127.0.0.1:{free_port()}"
    with Server(documents, env=settings) as one, Server(documents, env=settings) as other, tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "haproxy.cfg"
        backends = "".join(f"  server s{at} {urlsplit(s.url).netloc}\n" for at, s in enumerate((one, other)))
        config.write_text(HAPROXY.format(address=address) + backends)
        balancer = subprocess.Popen(["haproxy", "-db", "-q", "-f", str(config)], stderr=subprocess.DEVNULL)
        try:
            url = f"http://{address}"
            answers(url)
            plan = {"url": url, "judged": True, "encoding": "json", "teams": teams}
            run = k6.Run({**plan, "rate": 300, "seconds": max(8, seconds)})
            before = load_seen(one, run)
            one.process.send_signal(signal.SIGTERM)
            code = one.process.wait(timeout=20)
            still = run.process.poll() is None
            result = run.result()
        finally:
            balancer.terminate()
            balancer.wait()
    print(f"drain: {result['requests']} requests while one of two servers stopped ({before} before the signal), failed checks {result['failed_checks']}")
    complaints = failures("draining", result)
    complaints += [f"the server ended with {code}"] if code else []
    complaints += [] if still else ["the load ended before the server did"]
    return complaints


def load_seen(server, run):
    """Waits until the server spends time on requests; returns how many seconds of CPU it had by then."""
    from .load import cpu_seconds

    start = cpu_seconds(server.process.pid)
    while run.process.poll() is None:
        spent = cpu_seconds(server.process.pid) - start
        if spent >= 0.1:
            return f"{spent:.2f} s of CPU"
        time.sleep(0.05)
    raise RuntimeError("the load ended before the server saw any")


def answers(url):
    limit = time.monotonic() + 10
    while True:
        try:
            if Client(url).request("GET", "/_readiness")[0] == 200:
                return
        except OSError:
            pass
        if time.monotonic() > limit:
            raise RuntimeError(f"{url} does not answer")
        time.sleep(0.05)


def failures(what, result):
    found = [f"{what}: no request was sent"] if not result["requests"] else []
    found += [f"{what}: {result['failed_checks']} failed checks"] if result["failed_checks"] else []
    found += [f"{what}: {result['failed']} failed requests, statuses {result['statuses']}"] if result["failed"] else []
    return found


NAMES = [*STEADY, "cold-start", "drain"]


def run(name, seconds):
    """Runs one scenario; returns complaints."""
    if name == "cold-start":
        return run_cold_start(seconds)
    return run_drain(seconds) if name == "drain" else run_steady(name, seconds)
