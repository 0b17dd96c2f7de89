"""Finds or builds release binaries.

`FEATURE_FLAGS_BIN` names a ready server binary; examples are then looked for in the `examples` folder beside it.
"""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def target_dir():
    """Where cargo puts its output."""
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def release():
    """Builds the server and all examples; returns the folder that holds the server.

    Always both: with the examples come the features of development dependencies, and a build without them would
    compile a good part of the dependencies a second time.
    """
    given = os.environ.get("FEATURE_FLAGS_BIN")
    if given:
        return Path(given).resolve().parent
    subprocess.run(["cargo", "build", "--release", "--quiet", "--bins", "--examples"], cwd=ROOT, check=True)
    return target_dir() / "release"


def server_binary():
    """Path of the server binary; builds it unless it was given."""
    given = os.environ.get("FEATURE_FLAGS_BIN")
    return Path(given).resolve() if given else release() / "feature-flags"


def example_binary(name):
    """Path of an example binary; builds it unless the server binary was given."""
    return release() / "examples" / name
