"""Which release of flyte_ray this is."""

from __future__ import annotations

from importlib import metadata

UNKNOWN = "0.1.0"
"""For a checkout that was never installed."""


def version() -> str:
    """The version of this package.

    Example:
        >>> version().count(".") >= 1
        True
    """
    try:
        return metadata.version("flyte-ray")
    except metadata.PackageNotFoundError:
        return UNKNOWN
