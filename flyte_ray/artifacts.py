"""PUBLIC: names and versions for outputs that outlive their run.

First thickness: descriptions are checked and can be written; `new` hands its value on unchanged, so
that scripts run. Nothing is registered yet: find outputs by their run (`remote.Run.get(...)`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["Card", "Metadata", "TimePartition", "new", "produces"]

T = TypeVar("T")
_PRIMITIVES = (str, int, float, bool, bytes, type(None))


@dataclass(frozen=True, slots=True)
class Card:
    """A page that describes an artifact.

    Example:
        >>> Card.create_from(content="<h1>Model</h1>").format
        'html'
    """

    uri: str = ""
    format: str = "html"
    card_type: str = "generic"
    content: str | None = None
    """The page itself, where it is not stored yet."""

    @classmethod
    def create_from(
        cls,
        content: str | None = None,
        local_path: str | Path | None = None,
        format: str = "html",
        card_type: str = "generic",
    ) -> Card:
        """A card from a text, or from a file of this machine.

        Raises:
            ValueError: both are given, or none.
            FileNotFoundError: there is no such file.
        """
        if (content is None) == (local_path is None):
            raise ValueError("Card.create_from needs either content=... or local_path=...")
        text = content if local_path is None else Path(local_path).read_text(encoding="utf-8")
        return cls(uri=str(local_path or ""), format=format, card_type=card_type, content=text)


@dataclass(frozen=True, slots=True)
class TimePartition:
    """The span of time that an artifact is about."""

    time: datetime
    granularity: str = "day"


@dataclass(frozen=True, slots=True)
class Metadata:
    """What an artifact is called and what is known of it.

    Example:
        >>> Metadata("sentiment", version="3").name
        'sentiment'
    """

    name: str
    version: str | None = None
    description: str | None = None
    attrs: Mapping[str, str] = field(default_factory=dict)
    card: Card | None = None
    kind: str | None = None
    partitions: Mapping[str, str | TimePartition] = field(default_factory=dict)
    parents: Sequence[Any] = ()
    version_from_content: bool = False

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError(f"an artifact needs a name, not {self.name!r}")
        if self.version is not None and self.version_from_content:
            raise ValueError(f"artifact {self.name!r}: version or version_from_content, not both")

    @classmethod
    def create_model_metadata(
        cls,
        name: str,
        version: str | None = None,
        description: str | None = None,
        card: Card | None = None,
        **attrs: Any,
    ) -> Metadata:
        """The description of a model; whatever else is given stands in `attrs`."""
        said = {key: str(value) for key, value in attrs.items() if value is not None}
        made = cls(name, version=version, description=description, card=card, kind="model")
        return replace(made, attrs=said)


def new(value: T, metadata: Metadata) -> T:
    """The value, to be returned as a task's output; its description is checked, not yet kept.

    Raises:
        TypeError: no `Metadata`, or a value too plain to be an artifact.

    Example:
        >>> new([1, 2], Metadata("numbers"))
        [1, 2]
    """
    if not isinstance(metadata, Metadata):
        raise TypeError(f"artifacts.new needs a Metadata, not {metadata!r}")
    if isinstance(value, _PRIMITIVES):
        raise TypeError(
            f"artifact {metadata.name!r} cannot be a plain {type(value).__name__}; wrap it in a "
            "file, a dataclass or a container"
        )
    return value


@contextmanager
def produces(**outputs: Metadata) -> Iterator[None]:
    """Describe the outputs of the tasks called in this block; accepted, not yet kept.

    Raises:
        TypeError: no `Metadata`.

    Example:
        >>> with produces(o0=Metadata("numbers")):
        ...     pass
    """
    for name, metadata in outputs.items():
        if not isinstance(metadata, Metadata):
            raise TypeError(f"artifacts.produces: {name!r} must be a Metadata, not {metadata!r}")
    yield
