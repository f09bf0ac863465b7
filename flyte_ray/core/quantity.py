"""Reads Kubernetes quantities: "500m", "2", "4Gi", "1e3".

Grammar: `<number><suffix>` with suffix n, u, m (fractions), k/K, M, G, T, P, E (powers of 1000),
Ki … Ei (powers of 1024) or an exponent. Exact inside (fractions); only the callers round.
Source: the Kubernetes API reference, "Quantity". "K" is accepted beside "k", as Flyte does.
"""

from __future__ import annotations

import re
from fractions import Fraction

_SHAPE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(?:([eE][+-]?\d{1,2})|([a-zA-Z]{1,2}))?", re.ASCII)
_SUFFIXES: dict[str, Fraction] = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "K": Fraction(1000),
    **{letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", start=1)},
}


def parse_quantity(text: str) -> Fraction:
    """The amount that `text` names; bytes for memory, cores for CPU.

    Raises:
        ValueError: `text` is no quantity, or a negative one.

    Example:
        >>> parse_quantity("500m")
        Fraction(1, 2)
        >>> int(parse_quantity("2Ki"))
        2048
    """
    match = _SHAPE.fullmatch(text.strip())
    if match is None or (match[3] is not None and match[3] not in _SUFFIXES):
        raise ValueError(
            f"{text!r} is no quantity; write a number with an optional suffix, "
            f"such as '2', '500m', '512Mi' or '4Gi'"
        )
    return Fraction(match[1]) * _scale(match[2], match[3])


def _scale(exponent: str | None, suffix: str | None) -> Fraction:
    if exponent is not None:
        return Fraction(10) ** int(exponent[1:])
    return _SUFFIXES[suffix] if suffix is not None else Fraction(1)
