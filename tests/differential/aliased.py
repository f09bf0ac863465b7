"""Runs one script with `import flyte` served by this package: `python aliased.py SCRIPT`."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from flyte_ray import _alias

if __name__ == "__main__":
    script = sys.argv[1]
    _alias.install()
    sys.argv = [script]
    sys.path[0] = str(Path(script).parent)
    runpy.run_path(script, run_name="__main__")
