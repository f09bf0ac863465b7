"""Code identity: which code a task is, so that finished work is adopted only while it still holds.

    task identity = H(tag, task name, interface, code digest, version said by hand)
    own identity  = H(tag, task name, interface, own code digest)
    code digest   = what the function can reach in the author's code (`core/reach`)

Helper functions, classes, constants, defaults, closures and decorators count, to any depth, and so
do the versions of packages they use. Comments, formatting, docstrings, line numbers, the order of
definitions and the task's own options do not. Code of the tasks that it calls counts in its
identity, which decides what is adopted and what the cache may answer; its *own* identity, by which
its actions are named, leaves that out, as they have names of their own. Where no source can be read
(exec, lambdas) the compiled code stands in; it is stable within one version of Python only.

The tag enters every identity: raise it when the meaning of "code" changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flyte_ray.core.cache import Cache, VersionParameters
from flyte_ray.core.digest import Digest, digest_json
from flyte_ray.core.module_source import remember
from flyte_ray.core.reach import Reach, reached

TAG = "3"
"""1: own body and interface. 2: all that the body can reach. 3: through other tasks, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The two digests of a function's code."""

    digest: Digest
    """Of all that it can reach."""
    own: Digest
    """Of what it can reach without passing through another task."""
    is_live: bool = False
    """True where it may be other code by the next run (`core/reach`)."""


def task_identity(
    name: str, interface: str, code: Digest, *, said: str = "", tag: str = TAG
) -> Digest:
    """The identity of a task or a traced step.

    Args:
        name: the full name.
        interface: the interface's digest or any stable text of it.
        code: a digest of `code_of` the function.
        said: what the author says of the version of its results (`Cache.said_version`).
        tag: version of what "code" means.
    """
    return digest_json([tag, name, interface, code, said])


def code_of(func: Callable[..., Any]) -> Code:
    """The digests of a function's code, equal in every process with the same source."""
    reach = reached(func)
    return Code(digest=reach.digest, own=reach.own, is_live=reach.is_live)


def code_digest(func: Callable[..., Any]) -> Digest:
    """The digest of all the code a function can reach."""
    return reached(func).digest


def fix_source(func: Callable[..., Any]) -> None:
    """Read the source of a function's module now, while the file is what is being loaded."""
    remember(getattr(func, "__globals__", {}))


def cache_version(
    cache: Cache, func: Callable[..., Any], *, image: Any = None, code: Digest | None = None
) -> str:
    """The version that enters the cache key; empty where caching is off.

    Args:
        cache: the task's policy.
        func: the task's function.
        image: the environment's image, for policies that look at it.
        code: the function's `code_digest` where it is known.

    Raises:
        ValueError: a policy of the author's could not name a version.
    """
    return cache.get_version(VersionParameters(func=func, image=image, code=code))


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One reason why two states of a task's code are not the same."""

    kind: str
    """"code" or "package"."""
    name: str
    """`module.name`, or the distribution."""
    before: str | None
    """Digest or version; None where it was not reached."""
    after: str | None

    def __str__(self) -> str:
        if self.kind == "package":
            return f"{self.name} {self.before or 'absent'} -> {self.after or 'absent'}"
        if self.before is None:
            return f"{self.name} is reached now"
        return f"{self.name} {'changed' if self.after is not None else 'is reached no more'}"


def differences(before: Reach, after: Reach) -> list[Difference]:
    """Which functions, classes, constants and packages differ; nothing for equal digests."""
    return [
        *_differing("code", before.components, after.components),
        *_differing("package", before.packages, after.packages),
    ]


def _differing(kind: str, old: Mapping[str, str], new: Mapping[str, str]) -> list[Difference]:
    return [
        Difference(kind=kind, name=name, before=old.get(name), after=new.get(name))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
