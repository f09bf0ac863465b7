"""In what two calls differ: each input, and each field of it; code as a diff; packages; options.

The rule to know: a difference says whether it `counts` (it is part of the cache key, so that it
alone made the call run) or stands beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flyte_ray.client.explain import sources
from flyte_ray.codec.plain import AS, VALUE
from flyte_ray.core.calls import RunSpec
from flyte_ray.core.payload import EncodedValue, Payload
from flyte_ray.core.ports import Blobs
from flyte_ray.store.fold import ActionRecord

MOST_FIELDS = 20
LONGEST_SHOWN = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One component in which two calls differ."""

    kind: str
    """One of "input", "output", "code", "interface", "version", "package"."""
    name: str
    before: str | None
    """For people; None where it was not there."""
    after: str | None
    counts: bool = True
    """Part of the cache key, and of the action's identity."""
    lines: tuple[str, ...] = ()
    """A diff, of code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of two calls, with what is needed to explain it."""

    run: RunSpec
    action: ActionRecord
    reach: Mapping[str, Any]
    """`components` and `packages` of its task as recorded; empty where they are not."""


def value_differences(
    blobs: Blobs, before: Payload, after: Payload, *, kind: str, ignored: tuple[str, ...] = ()
) -> Iterator[Difference]:
    """The values that differ, field by field where both are plain data."""
    for name in dict.fromkeys([*before.values, *after.values]):
        old, new = before.values.get(name), after.values.get(name)
        counts = name not in ignored
        if old is not None and new is not None:
            if kind == "input":
                yield from _code_named(name, old, new, counts)
            if old.digest == new.digest:
                continue
        for path, was, now in _fields(blobs, old, new):
            yield Difference(
                kind=kind,
                name=f"{name}{path}",
                before=was,
                after=now,
                counts=counts,
            )


def _code_named(
    name: str, old: EncodedValue, new: EncodedValue, counts: bool
) -> Iterator[Difference]:
    """The author's code that only the value leads to: the class of an object in it."""
    for code, was, now in _changed(dict(old.code), dict(new.code)):
        yield Difference(
            kind="code",
            name=f"{code} of input {name}",
            before=was and was[:12],
            after=now and now[:12],
            counts=counts,
        )


def code_differences(blobs: Blobs, before: Side, after: Side) -> list[Difference]:
    """Functions, constants and packages that differ between the code of two calls."""
    if before.action.identity and before.action.identity == after.action.identity:
        return []
    old = sources.definitions(blobs, before.run.code)
    new = sources.definitions(blobs, after.run.code)
    found = [
        _code_difference(name, (was, now), old, new)
        for name, was, now in _changed_names(before, after, old, new)
    ]
    packages = _changed(before.reach.get("packages"), after.reach.get("packages"))
    found += [
        Difference(kind="package", name=name, before=was, after=now) for name, was, now in packages
    ]
    if not found:
        found.append(
            Difference(
                kind="code",
                name=after.action.task,
                before=before.action.identity[:12] or None,
                after=after.action.identity[:12] or None,
            )
        )
    return found


def version_differences(before: RunSpec, after: RunSpec) -> Iterator[Difference]:
    """Packages of the two runs as a whole; they do not count by themselves."""
    for name, was, now in _changed(before.versions, after.versions):
        yield Difference(kind="package", name=name, before=was, after=now, counts=False)


def key_differences(before: ActionRecord, after: ActionRecord) -> Iterator[Difference]:
    """Interface and cache version, as they entered the keys."""
    for kind, attr in (("interface", "interface"), ("version", "cache_version")):
        was, now = before.attrs.get(attr), after.attrs.get(attr)
        if was is not None and now is not None and was != now:
            yield Difference(kind=kind, name=after.task, before=str(was)[:12], after=str(now)[:12])


def _changed_names(
    before: Side, after: Side, old: sources.Definitions, new: sources.Definitions
) -> list[tuple[str, str | None, str | None]]:
    """Name and digests of each component that differs."""
    if before.reach.get("components") and after.reach.get("components"):
        return list(_changed(before.reach["components"], after.reach["components"]))
    module = (after.action.attrs.get("address") or {}).get("module") or ""
    function = after.action.task.rpartition(".")[2]
    starts = [f"{module}.{function}"] if f"{module}.{function}" in new else []
    starts += [name for name in new if not starts and name.endswith(f".{function}")]
    names = sorted({each for start in starts for each in sources.changed_from(start, old, new)})
    return [(name, None, None) for name in names]


def _code_difference(
    name: str,
    digests: tuple[str | None, str | None],
    old: sources.Definitions,
    new: sources.Definitions,
) -> Difference:
    was, now = sources.find(old, name), sources.find(new, name)
    lines = tuple(sources.diff_lines(name, was, now))
    if lines:
        before, after = was and "present", now and "present"
    else:  # not in the bundles, or equal but for what surrounds it
        before, after = (each and each[:12] for each in digests)
    return Difference(kind="code", name=name, before=before, after=after, lines=lines)


def _changed(
    before: Mapping[str, str] | None, after: Mapping[str, str] | None
) -> Iterator[tuple[str, str | None, str | None]]:
    old, new = before or {}, after or {}
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield name, old.get(name), new.get(name)


# ------------------------------------------------------------------------------ fields of values


def _fields(
    blobs: Blobs, old: EncodedValue | None, new: EncodedValue | None
) -> list[tuple[str, str | None, str | None]]:
    """Paths inside two values where they differ; the whole where they cannot be compared."""
    if old is not None and new is not None and old.codec == new.codec == "json":
        try:
            before, after = _node(blobs, old), _node(blobs, new)
        except (OSError, ValueError):
            return [("", _describe(old), _describe(new))]
        found = []
        for each in _parted(before, after, ""):
            found.append(each)
            if len(found) == MOST_FIELDS:
                found.append((" …", None, None))
                break
        if found:
            return found
    return [("", _describe(old), _describe(new))]


def _node(blobs: Blobs, value: EncodedValue) -> Any:
    text: Any = value.inline if value.inline is not None else blobs.get(value.key or "")
    return json.loads(text)


def _parted(before: Any, after: Any, path: str) -> Iterator[tuple[str, str | None, str | None]]:
    before, after = _bare(before), _bare(after)
    if before == after and type(before) is type(after):
        return
    if isinstance(before, dict) and isinstance(after, dict) and VALUE not in {*before, *after}:
        for key in dict.fromkeys([*before, *after]):
            yield from _member(before, after, key, f"{path}.{key}", key in before, key in after)
    elif isinstance(before, list) and isinstance(after, list):
        for place in range(max(len(before), len(after))):
            yield from _member(
                before, after, place, f"{path}[{place}]", place < len(before), place < len(after)
            )
    else:
        yield path, _text(before), _text(after)


def _member(
    before: Any, after: Any, key: Any, path: str, was: bool, now: bool
) -> Iterator[tuple[str, str | None, str | None]]:
    if was and now:
        yield from _parted(before[key], after[key], path)
    else:
        yield path, _text(before[key]) if was else None, _text(after[key]) if now else None


def _bare(node: Any) -> Any:
    is_marked = isinstance(node, dict) and len(node) == 1 and AS in node
    return node[AS][1] if is_marked else node


def _text(node: Any) -> str:
    if isinstance(node, dict) and len(node) == 1 and VALUE in node:
        return _describe(EncodedValue.from_dict(node[VALUE])) or ""
    text = json.dumps(node, ensure_ascii=False)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"


def _describe(value: EncodedValue | None) -> str | None:
    if value is None:
        return None
    if value.codec == "json" and value.inline is not None:
        text = value.inline
        return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"
    return f"{value.type}, {value.size_bytes} bytes, sha256 {value.digest[:12]}"
