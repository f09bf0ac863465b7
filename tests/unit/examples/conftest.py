"""The examples are no part of the package: their folder goes on the import path for these tests."""

import sys
from pathlib import Path

EXAMPLES = str(Path(__file__).resolve().parents[3] / "examples")
if EXAMPLES not in sys.path:
    sys.path.insert(0, EXAMPLES)
