"""The attributes of a row as JSON text: written as they are, parsed only when somebody looks.

A row's long tail (`core.model.Event.attrs`) is JSON in the record. Who writes thousands of rows a
second puts the text together from parts that are the same for every row; whoever only carries a row
(a worker, a line, the host, the ledger) need not know what is in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

# Only ASCII: Parquet has no place for half of a surrogate pair, which a log may well hold.
_quote = json.encoder.encode_basestring_ascii
_text_of = json.JSONEncoder(separators=(",", ":"), default=str).encode


class Facts(Mapping[str, Any]):
    """A read-only mapping of texts to plain values, over its JSON text.

    Example:
        >>> facts = Facts('{"group":"night"}')
        >>> facts["group"], facts.text
        ('night', '{"group":"night"}')
    """

    __slots__ = ("_parsed", "text")

    def __init__(self, text: str) -> None:
        """Take the text of a JSON object over, unread."""
        self.text = text
        self._parsed: dict[str, Any] | None = None

    def _values(self) -> dict[str, Any]:
        if self._parsed is None:
            self._parsed = json.loads(self.text)
        return self._parsed

    def __getitem__(self, name: str) -> Any:
        return self._values()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def __bool__(self) -> bool:
        return self.text != "{}"

    def __reduce__(self) -> tuple[type[Facts], tuple[str]]:
        return Facts, (self.text,)

    def __repr__(self) -> str:
        return f"Facts({self.text!r})"


def text_of_facts(attrs: Mapping[str, Any]) -> str:
    """The JSON text of a row's attributes. An odd value becomes its text: it must not cost a row.

    Example:
        >>> text_of_facts({"pid": 7})
        '{"pid":7}'
    """
    return attrs.text if isinstance(attrs, Facts) else _text_of(dict(attrs))


def fact(name: str, text: str) -> str:
    """The JSON text of a single attribute.

    Example:
        >>> fact("cached_from", "monday/a1")
        '{"cached_from":"monday/a1"}'
    """
    return f'{{"{name}":{_quote(text)}}}'


def joined(*texts: str) -> Facts:
    """The facts of several JSON objects, the later ones' names not among the earlier ones'.

    Example:
        >>> joined('{"a":1}', "{}", '{"b":2}').text
        '{"a":1,"b":2}'
    """
    inner = ",".join([text[1:-1] for text in texts if text != "{}"])
    return Facts("{" + inner + "}")
