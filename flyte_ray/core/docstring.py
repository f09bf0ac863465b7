"""A docstring taken apart: summary, description, and what it says of each parameter and result.

Reads Google's sections (`Args:`) and Sphinx fields (`:param x:`), without a library, since the
core has none; the command line uses a parser of more styles.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SECTION = re.compile(r"^(\w[\w ]*):\s*$")
_ENTRY = re.compile(r"^(\*{0,2}\w+)\s*(?:\([^)]*\))?:\s*(.*)$")
_FIELD = re.compile(r"^:param\s+(?:[^:]*\s)?(\w+):\s*(.*)$")
_ARGUMENTS = frozenset({"args", "arguments", "parameters", "params"})
_SECTIONS = _ARGUMENTS | frozenset(
    {"returns", "return", "yields", "raises", "example", "examples", "note", "notes", "attributes"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Docstring:
    r"""What a function's docstring says.

    Example:
        >>> parsed("Add.\n\nArgs:\n    x: one of them").input_descriptions
        {'x': 'one of them'}
    """

    short_description: str | None = None
    long_description: str | None = None
    input_descriptions: dict[str, str] = field(default_factory=dict)
    """Parameter name to its description, on one line."""


def parsed(text: str | None) -> Docstring:
    """The parts of a docstring that `inspect.getdoc` has unindented."""
    prose: list[str] = []
    inputs: dict[str, list[str]] = {}
    section, entry = "", ""
    for line in (text or "").splitlines():
        title = _SECTION.match(line)
        found = _FIELD.match(line)
        if found is not None:
            section, entry = "params", found[1]
            inputs[entry] = [found[2]]
        elif title is not None and title[1].lower() in _SECTIONS:
            section, entry = title[1].lower(), ""
        elif not section:
            prose.append(line)
        elif section in _ARGUMENTS:
            entry = _take(line, entry, inputs)
    summary, _, rest = "\n".join(prose).strip().partition("\n\n")
    return Docstring(
        short_description=" ".join(summary.split()) or None,
        long_description=rest.strip() or None,
        input_descriptions={
            name: " ".join(" ".join(said).split()) for name, said in inputs.items()
        },
    )


def _take(line: str, entry: str, inputs: dict[str, list[str]]) -> str:
    """Read one line of a section of parameters; the parameter that the next line may belong to."""
    depth = len(line) - len(line.lstrip())
    found = _ENTRY.match(line.strip())
    if found is not None and (depth <= 4 or not entry):
        name = found[1].lstrip("*")
        inputs[name] = [found[2]]
        return name
    if entry:
        inputs[entry].append(line.strip())
    return entry
