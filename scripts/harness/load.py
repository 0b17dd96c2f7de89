"""One round of load, and the CPU time that a server process spent on it."""

import json
import os
import subprocess

from . import build, workload

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def bodies_file(count):
    """Writes the request bodies for the workload of that size below the target folder; returns the path."""
    path = build.target_dir() / "load" / f"bodies-{count}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    token = workload.load(count)["team"]["api_token"]
    with path.open("w", encoding="utf-8") as file:
        for body in workload.bodies(token):
            file.write(json.dumps(body, separators=(",", ":")) + "\n")
    return path


def cpu_seconds(pid):
    """User plus system time of the whole process."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def run_round(pid, address, bodies, cpu, seconds, connections):
    """Requests per second and CPU microseconds per request of one round."""
    command = [
        "taskset", "-c", str(cpu), str(build.example_binary("loadgen")), "--address", address,
        "--bodies", str(bodies), "--seconds", str(seconds), "--connections", str(connections),
    ]
    before = cpu_seconds(pid)
    run = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    spent = cpu_seconds(pid) - before
    result = json.loads(run.stdout)
    return {
        "requests": result["requests"],
        "requests_per_second": result["requests"] / result["seconds"],
        "cpu_us": spent / result["requests"] * 1e6,
        "answer_bytes": result["answer_bytes"] / result["requests"],
    }
