"""Find the files: which sources are looked at, and what exactly is in them.

The choice is deterministic and steady: files are ranked by a digest of their path and the packages
take turns, so that a file which is added or removed does not move the others in or out.
"""

import hashlib
import importlib.util
import os
import sysconfig
from dataclasses import astuple, dataclass
from itertools import zip_longest
from pathlib import Path

from source_miner.environment import env

PACKAGES = "stdlib,ray,sklearn,numpy,matplotlib,fontTools,pyarrow,pydantic"
"""Installed with flyte_ray and its `demo` extra; `stdlib` is Python's own library."""
LIMIT = 1200


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file, by content: the same `Source` always means the same bytes."""

    package: str
    """As asked for: the name of a package, or the path of a directory."""
    path: str
    """Relative to the package's directory, with forward slashes."""
    size_bytes: int
    digest: str
    """sha256 of the content; empty when the file could not be read."""


@env.task(cache="disable")  # It looks at the world outside, which may have changed since.
def discover(packages: str, limit: int, snapshot: str = "") -> list[Source]:
    """List the files to analyse; with a `snapshot`, insist that they are still the same."""
    sources = list_sources(packages, limit)
    if snapshot and snapshot != snapshot_of(sources):
        raise ValueError(
            f"the files of {packages} are no longer (or not here) what they were when the run "
            "was started; start a new run"
        )
    return sources


def list_sources(packages: str, limit: int) -> list[Source]:
    """Choose at most `limit` files of the comma-separated `packages`, a fair share of each."""
    if limit < 1:
        raise ValueError(f"limit: must be at least 1, not {limit}")
    names = list(dict.fromkeys(name.strip() for name in packages.split(",") if name.strip()))
    if len(names) < 2:
        raise ValueError(f"packages: name at least two to tell apart, not {packages!r}")
    turns = zip_longest(*map(_ranked, names))
    chosen = [pair for turn in turns for pair in turn if pair is not None][:limit]
    return [_source(name, path) for name, path in sorted(chosen)]


def snapshot_of(sources: list[Source]) -> str:
    """One digest for the content of all files: equal when there is nothing new to learn."""
    return hashlib.sha256(repr([astuple(source) for source in sources]).encode()).hexdigest()


def rank(path: str) -> str:
    """Order paths as if at random, but always alike."""
    return hashlib.sha256(path.encode()).hexdigest()


def label(package: str) -> str:
    """What a package is called in tables and plots: a directory goes by its name."""
    return Path(package).name


def locate(package: str) -> Path:
    """Find the directory of an installed package, of the standard library, or a path as it is."""
    if package == "stdlib":
        return Path(sysconfig.get_paths()["stdlib"])
    if os.sep in package:
        root = Path(package).expanduser().resolve()
        if not root.is_dir():
            raise ValueError(f"packages: there is no directory {package!r}")
        return root
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            f"packages: {package!r} is no package installed here; "
            "give names as in `import NAME`, `stdlib`, or a directory with a slash in it"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _ranked(package: str) -> list[tuple[str, str]]:
    return [(package, path) for path in sorted(_paths(package), key=rank)]


def _paths(package: str) -> list[str]:
    root = locate(package)
    # The standard library's directory also holds what was installed on top of it.
    skipped = {"__pycache__", "site-packages", "dist-packages"}
    relative = (path.relative_to(root) for path in root.rglob("*.py") if path.is_file())
    return [
        path.as_posix()
        for path in relative
        # A name that is no text could not be written down in the record.
        if skipped.isdisjoint(path.parts) and path.as_posix().isprintable()
    ]


def _source(package: str, path: str) -> Source:
    try:
        content = (locate(package) / path).read_bytes()
    except OSError:
        return Source(package=package, path=path, size_bytes=0, digest="")
    digest = hashlib.sha256(content).hexdigest()
    return Source(package=package, path=path, size_bytes=len(content), digest=digest)
