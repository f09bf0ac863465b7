"""A stored value on one line: its text where it is short, else its type and size."""

from __future__ import annotations

from flyte_ray.core.payload import EncodedValue

LONGEST_SHOWN = 60


def shown(value: EncodedValue | None) -> str:
    """What fits on a line of a tree or a list."""
    if value is None:
        return "(no longer recorded)"
    if value.codec == "json" and value.inline is not None:
        text = value.inline
        return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"
    return f"{value.type}, {size_text(value.size_bytes)}, sha256 {value.digest[:12]}"


def size_text(size_bytes: int) -> str:
    """`1.5 MiB`."""
    size = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("unreachable")
