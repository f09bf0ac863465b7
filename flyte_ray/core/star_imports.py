"""Where a name comes from that `from helpers import *` brought: the last star that has it wins."""

from __future__ import annotations

from collections.abc import Iterator

from flyte_ray.core.module_source import ModuleSource, source_of_module
from flyte_ray.core.origins import Origin, origin_of


def stars_with(
    name: str, source: ModuleSource, packages: list[Origin], met: set[str] | None = None
) -> Iterator[ModuleSource]:
    """The author's modules that bring a name, the last star first.

    Args:
        name: a name that the source's own statements do not make.
        source: the module that has the stars.
        packages: receives the packages of which everything is imported: any may have the name.
        met: modules that were looked at; stars may go round in circles.
    """
    met = {source.origin.name} if met is None else met
    for star in reversed(source.stars):
        origin = origin_of(source.absolute(star), source.origin)
        if origin.name in met:
            continue
        met.add(origin.name)
        if origin.kind == "package":
            packages.append(origin)
        there = source_of_module(origin) if origin.kind == "author" else None
        if there is None or (name.startswith("_") and "__all__" not in there.names):
            continue
        if name in there.names:
            yield there
        else:
            yield from stars_with(name, there, packages, met)
