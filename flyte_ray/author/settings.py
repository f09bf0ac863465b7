"""How the three levels of options become one value: environment < decorator < override.

Pure: checks what an author wrote and merges it into a `TaskOptions`. What is wrong is refused here,
where it was written, with an error that names the parameter.

The rule to know: in `override`, a value that is false (None, 0, empty) keeps what was there; only
`cache=False` and `reusable="off"` switch something off.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, TypedDict

from flyte_ray.core.cache import CacheRequest, normalise_cache
from flyte_ray.core.documentation import Documentation, Link
from flyte_ray.core.image import Image
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.pod import PodTemplate
from flyte_ray.core.resources import Resources
from flyte_ray.core.retry import RetryStrategy, normalise_retries
from flyte_ray.core.reuse import ReusePolicy
from flyte_ray.core.secret import SecretRequest, normalise_secrets
from flyte_ray.core.timeout import TimeoutType, normalise_timeout


class TaskSettings(TypedDict, total=False):
    """What `@env.task(...)` takes."""

    short_name: str | None
    """Shown to people; the function's name unless set."""
    cache: CacheRequest | None
    """None inherits the environment's; False switches caching off for this task."""
    retries: int | RetryStrategy | None
    timeout: TimeoutType | None
    docs: Documentation | None
    pod_template: str | PodTemplate | None
    report: bool
    """Store the report of each attempt that wrote one."""
    interruptible: bool | None
    max_inline_io_bytes: int
    queue: str | None
    service_account: str | None
    triggers: Any
    """A trigger or a tuple of them."""
    links: Link | tuple[Link, ...]
    task_resolver: Any
    """Accepted for Flyte's sake; tasks are found by their address."""
    entrypoint: bool
    produces_artifacts: bool


class Overrides(TypedDict, total=False):
    """What `task.override(...)` takes."""

    short_name: str | None
    resources: Resources | None
    cache: CacheRequest | None
    retries: int | RetryStrategy | None
    timeout: TimeoutType | None
    reusable: ReusePolicy | Literal["off"] | None
    env_vars: Mapping[str, str] | None
    secrets: SecretRequest | None
    service_account: str | None
    max_inline_io_bytes: int | None
    pod_template: str | PodTemplate | None
    queue: str | None
    interruptible: bool | None
    entrypoint: bool | None
    produces_artifacts: bool | None
    links: Link | tuple[Link, ...]
    plugin_config: Any
    report: bool


_FIXED = ("name", "image", "docs", "interface")
_OF_A_WARM_WORKER = ("resources", "env_vars", "secrets", "service_account")
_KEPT_BY_THE_TASK = ("short_name", "docs", "triggers", "task_resolver")
_DECORATOR_NAMES = frozenset(TaskSettings.__annotations__)
_OVERRIDE_NAMES = frozenset(Overrides.__annotations__)


def decorated(base: TaskOptions, settings: Mapping[str, Any], *, where: str) -> TaskOptions:
    """The environment's options with what the decorator said.

    Args:
        base: the environment's.
        settings: as `TaskSettings`.
        where: the task's name, for messages.

    Raises:
        TypeError: a parameter is unknown or of the wrong type.
        ValueError: a value is out of range, or does not go with a reusable environment.
    """
    refuse_unknown(settings, _DECORATOR_NAMES, f"@env.task of {where!r}")
    if base.reusable is not None:
        if settings.get("pod_template") is not None:
            raise ValueError(
                f"task {where!r}: pod_template does not go with a reusable environment"
            )
        account = settings.get("service_account")
        if account is not None and account != base.service_account:
            raise ValueError(
                f"task {where!r}: service_account must be that of its reusable environment "
                f"({base.service_account!r}), not {account!r}"
            )
    given = {
        name: value
        for name, value in settings.items()
        if value is not None and name not in _KEPT_BY_THE_TASK
    }
    return replace(base, **_checked(given, where))


def overridden(base: TaskOptions, changes: Mapping[str, Any], *, where: str) -> TaskOptions:
    """Options with what `override` changes.

    Raises:
        TypeError: a parameter is unknown or of the wrong type.
        ValueError: the parameter cannot be overridden, or not while a warm worker is reused.
    """
    for name in _FIXED:
        if name in changes:
            raise ValueError(f"task {where!r}: {name!r} cannot be overridden")
    refuse_unknown(changes, _OVERRIDE_NAMES, f"override of {where!r}")
    given = {name: value for name, value in changes.items() if _says_something(name, value)}
    given.pop("short_name", None)
    switched_off = given.get("reusable") == "off"
    if base.reusable is not None and not switched_off:
        for name in _OF_A_WARM_WORKER:
            if name in given:
                raise ValueError(
                    f"task {where!r} runs on warm workers, whose {name} are fixed; override "
                    f'reusable="off" in the same call to run it on a worker of its own'
                )
    if switched_off:
        given["reusable"] = None
    return replace(base, **_checked(given, where))


def _says_something(name: str, value: object) -> bool:
    if name in ("cache", "interruptible", "entrypoint", "produces_artifacts", "report"):
        return value is not None
    return bool(value)


def refuse_unknown(given: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    """Raise a `TypeError` that names the first unknown parameter and its neighbour."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f" (it has: {sorted(known)})"
            raise TypeError(f"{where} has no parameter {name!r}{hint}")


# ------------------------------------------------------------------------------- single values


def _checked(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The values in the form `TaskOptions` keeps them."""
    return {name: check_option(name, value, where) for name, value in given.items()}


_KINDS: dict[str, tuple[type, ...]] = {
    "resources": (Resources,),
    "reusable": (ReusePolicy,),
    "pod_template": (str, PodTemplate),
    "service_account": (str,),
    "queue": (str,),
    "image": (str, Image),
    "report": (bool,),
    "interruptible": (bool,),
    "entrypoint": (bool,),
    "produces_artifacts": (bool,),
}


def check_option(name: str, value: Any, where: str) -> Any:
    """One option, checked and in the form `TaskOptions` keeps it; None stays None.

    Raises:
        TypeError: of the wrong type.
        ValueError: out of range.
    """
    if value is None:
        return None
    if name in _KINDS:
        _check_kind(name, value, _KINDS[name], where)
    elif name == "env_vars":
        return check_env_vars(value, where)
    elif name == "links":
        return tuple(value) if isinstance(value, tuple | list) else (value,)
    elif name == "max_inline_io_bytes":
        _check_size(value, where)
    elif name in _NORMALISED:
        try:
            return _NORMALISED[name](value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{where!r}: {error}") from error
    return value


_NORMALISED: dict[str, Any] = {
    "cache": normalise_cache,
    "retries": normalise_retries,
    "timeout": normalise_timeout,
    "secrets": normalise_secrets,
}


def _check_kind(name: str, value: object, kinds: tuple[type, ...], where: str) -> None:
    if not isinstance(value, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{where!r}: {name} must be {wanted}, not {value!r}")


def check_env_vars(env_vars: object, where: str) -> dict[str, str]:
    """Environment variables as a dict of their own.

    Raises:
        TypeError: no dict of texts.
    """
    if not isinstance(env_vars, Mapping):
        raise TypeError(f"{where!r}: env_vars must be a dict, not {env_vars!r}")
    for key, value in env_vars.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"{where!r}: env_vars must map texts to texts, not {key!r}: {value!r}")
    return dict(env_vars)


def _check_size(value: object, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ValueError(
            f"{where!r}: max_inline_io_bytes must be a positive whole number, not {value!r}"
        )


def check_concurrency(options: TaskOptions, *, is_async: bool, where: str) -> None:
    """Refuse a plain function on replicas that work on several calls at once.

    Raises:
        ValueError: it is one.
    """
    if options.reusable is not None and options.reusable.concurrency > 1 and not is_async:
        raise ValueError(
            f"task {where!r} is a plain function, but its environment reuses workers with "
            f"concurrency {options.reusable.concurrency}; write it as `async def`, or set "
            f"concurrency=1"
        )
