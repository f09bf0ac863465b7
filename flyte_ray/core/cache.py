"""Whether and under which version a task's results are kept for later runs: `Cache`.

Version = `version_override`, else sha256 over the versions that the policies give. The default
policy takes all code that the function can reach; `FunctionBodyPolicy` its own statements only. For
both, comments, blank lines, formatting and docstrings do not count. The key itself (inputs,
interface, name) is computed elsewhere.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Protocol, TypeAlias, cast, runtime_checkable

from flyte_ray.core.image import Image
from flyte_ray.core.reach import reached
from flyte_ray.core.syntax import parsed

CacheBehavior: TypeAlias = Literal["auto", "override", "disable"]

_BEHAVIORS: dict[str, CacheBehavior] = {
    "auto": "auto",
    "override": "override",
    "disable": "disable",
    **dict.fromkeys(("enable", "enabled", "on", "true", "yes"), "auto"),
    **dict.fromkeys(("disabled", "off", "false", "no", "none"), "disable"),
}


@dataclass(frozen=True, slots=True)
class VersionParameters:
    """What a policy may look at to name a version."""

    func: Callable[..., Any]
    image: Image | str | None = None
    code_bundle: Any | None = None
    code: str | None = None
    """The digest of the code that the function can reach, where it is known already."""


@runtime_checkable
class CachePolicy(Protocol):
    """Names the version of a task's code; results of another version are not reused.

    Example:
        >>> class Monthly:
        ...     def get_version(self, salt, params):
        ...         return "2030-01"
        >>> Cache("auto", policies=Monthly()).policies[0].get_version("", None)
        '2030-01'
    """

    def get_version(self, salt: str, params: VersionParameters) -> str:
        """A text that changes when results must not be reused any more."""
        ...


@dataclass(frozen=True, slots=True)
class ReachableCodePolicy:
    """The version is all code that the function can reach, that of tasks it calls included.

    Helpers, constants, classes and packages count. This is the default; what counts and what does
    not is said in `core/fingerprint`.

    Example:
        >>> Cache("auto").policies
        (ReachableCodePolicy(),)
    """

    def get_version(self, salt: str, params: VersionParameters) -> str:
        """A digest of salt and code."""
        code = params.code or reached(params.func).digest
        return hashlib.sha256(f"{salt}\0{code}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class FunctionBodyPolicy:
    """The version is the function's body: its statements, without docstrings.

    Decorators and the signature do not count; the latter enters the cache key by itself.
    Functions that the body calls are not included: results of before their edit are reused.

    Example:
        >>> Cache("auto", policies=FunctionBodyPolicy()).policies
        (FunctionBodyPolicy(),)
    """

    def get_version(self, salt: str, params: VersionParameters) -> str:
        """A digest of salt and body.

        Raises:
            ValueError: the source cannot be read, as for functions made by `exec`.
        """
        body = "\n".join(ast.dump(node) for node in _body_statements(params.func))
        return hashlib.sha256(f"{salt}\0{body}".encode()).hexdigest()


_DEFAULT_POLICIES: tuple[CachePolicy, ...] = (ReachableCodePolicy(),)


@dataclass(frozen=True, slots=True, init=False)
class Cache:
    """How results of a task are reused.

    Raises:
        ValueError: unknown behavior, no way to name a version, or a negative age.
        TypeError: `max_age` or a policy is of another type.

    Example:
        >>> Cache("auto", version_override="v1", ignored_inputs="verbose").ignored_inputs
        ('verbose',)
    """

    behavior: CacheBehavior
    """"auto": version from the policies; "override": from `version_override`; "disable"."""
    version_override: str | None
    serialize: bool
    """Of concurrent identical calls one runs, the others wait for its result."""
    ignored_inputs: tuple[str, ...]
    """Inputs that do not count in the key."""
    salt: str
    policies: tuple[CachePolicy, ...]
    max_age: timedelta | None
    """Older results are not used; zero and None: whatever their age."""

    def __init__(
        self,
        behavior: str | bool,
        version_override: str | None = None,
        serialize: bool = False,
        ignored_inputs: str | tuple[str, ...] | list[str] = (),
        salt: str = "",
        policies: CachePolicy | list[CachePolicy] | tuple[CachePolicy, ...] | None = None,
        max_age: timedelta | int | None = None,
    ) -> None:
        chosen = _behavior(behavior)
        names = (ignored_inputs,) if isinstance(ignored_inputs, str) else tuple(ignored_inputs)
        checked = _policies(policies)
        if not checked and not version_override and chosen != "disable":
            raise ValueError("Cache: without policies, version_override must name the version")
        object.__setattr__(self, "behavior", chosen)
        object.__setattr__(self, "version_override", version_override)
        object.__setattr__(self, "serialize", serialize)
        object.__setattr__(self, "ignored_inputs", names)
        object.__setattr__(self, "salt", salt)
        object.__setattr__(self, "policies", checked)
        object.__setattr__(self, "max_age", _age(max_age))

    def is_enabled(self) -> bool:
        """True when results are looked up and kept."""
        return self.behavior != "disable"

    def get_ignored_inputs(self) -> tuple[str, ...]:
        """`ignored_inputs`, under Flyte's name."""
        return self.ignored_inputs

    @property
    def said_version(self) -> str:
        """What the author says by hand of the version of the results; empty where nothing."""
        return "~".join(part for part in (self.version_override, self.salt) if part)

    def get_version(self, params: VersionParameters) -> str:
        """The version of the task's code; empty where caching is off.

        Raises:
            ValueError: a policy could not name one.
        """
        if not self.is_enabled():
            return ""
        if self.version_override:
            return self.said_version
        versions = [_policy_version(policy, self.salt, params) for policy in self.policies]
        return hashlib.sha256("".join(versions).encode()).hexdigest()


CacheRequest: TypeAlias = Cache | CacheBehavior | str | bool


def normalise_cache(cache: CacheRequest) -> Cache:
    """What an author wrote as `cache=`: True is "auto", False is "disable".

    Raises:
        TypeError: neither a bool, a text nor a `Cache`.
        ValueError: an unknown text.

    Example:
        >>> normalise_cache(True).behavior
        'auto'
    """
    return cache if isinstance(cache, Cache) else Cache(cache)


def _behavior(behavior: object) -> CacheBehavior:
    if isinstance(behavior, bool):
        return "auto" if behavior else "disable"
    if not isinstance(behavior, str):
        raise TypeError(f"cache must be a bool, a text or a Cache, not {behavior!r}")
    known = _BEHAVIORS.get(behavior.lower())
    if known is None:
        raise ValueError(f"cache must be 'auto', 'override' or 'disable', not {behavior!r}")
    return known


def _policies(policies: object) -> tuple[CachePolicy, ...]:
    if policies is None:
        return _DEFAULT_POLICIES
    given = tuple(policies) if isinstance(policies, list | tuple) else (policies,)
    for policy in given:
        if isinstance(policy, type) or not isinstance(policy, CachePolicy):
            raise TypeError(f"Cache.policies: {policy!r} has no get_version(salt, params)")
    return cast(tuple[CachePolicy, ...], given)


def _age(max_age: object) -> timedelta | None:
    if max_age is None:
        return None
    if isinstance(max_age, bool) or not isinstance(max_age, int | timedelta):
        raise TypeError(f"Cache.max_age must be whole seconds or a timedelta, not {max_age!r}")
    age = max_age if isinstance(max_age, timedelta) else timedelta(seconds=max_age)
    if age < timedelta(0):
        raise ValueError(f"Cache.max_age must not be negative, not {age}")
    return age


def _policy_version(policy: CachePolicy, salt: str, params: VersionParameters) -> str:
    try:
        return policy.get_version(salt, params)
    except Exception as error:
        name = getattr(params.func, "__qualname__", repr(params.func))
        raise ValueError(
            f"cache version of {name}: {type(policy).__name__} failed: {error}; "
            f"set version_override to name the version yourself"
        ) from error


def _body_statements(func: Callable[..., Any]) -> list[ast.AST]:
    try:
        tree = parsed(textwrap.dedent(inspect.getsource(func)))
    except (OSError, TypeError, SyntaxError) as error:
        raise ValueError(f"the source of {func!r} cannot be read: {error}") from error
    for node in ast.walk(tree):
        _drop_docstring(node)
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, definitions):
            return [*node.body]
    lambdas = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
    if len(lambdas) != 1:
        raise ValueError(f"the source of {func!r} holds no single function; write it as a def")
    return [lambdas[0].body]


def _drop_docstring(node: ast.AST) -> None:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return
    if ast.get_docstring(node, clean=False) is not None:
        del node.body[0]
