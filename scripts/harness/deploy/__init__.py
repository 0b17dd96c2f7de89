"""Checks of deploy/. Each module has functions that yield what is wrong, as text; `__main__` runs them all."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# Another folder, to see that a mistake in it is found.
DEPLOY = Path(os.environ.get("FEATURE_FLAGS_DEPLOY", ROOT / "deploy"))
