"""What the rooms of this floor agree on: codecs, forms, and the two ends they talk to.

A **form** lays a value of one type out as plain JSON (a *node*) and checks it while doing so; a
**codec** turns a value into bytes of its own format (npy, Parquet, a pickle). Inside a node, the
bytes of a codec appear as a marked leaf, so that any mixture nests. This room decides nothing.

The rule to know: `Form.dump` is the type check. What it refuses it refuses with `Mismatch`, which
knows its path inside the value but neither task nor parameter; `codec/payload` adds these.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from flyte_ray.core.digest import Digest
from flyte_ray.core.payload import EncodedValue
from flyte_ray.core.ports import Part, SharingStore, ValueStore

Node = Any
"""None, bool, int, float, str, list of nodes, dict of nodes with str keys."""

LONGEST_SHOWN = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """What a codec makes of a value."""

    digest: Digest
    """Digest of the logical content: equal values have equal ones, whatever the encoding."""
    type: str
    """Readable name of the value's type."""
    parts: tuple[Part, ...] = ()
    """The encoding; the concatenation of these. Views of the value's own memory are welcome."""
    text: str | None = None
    """JSON text in place of `parts`; it stays inline whatever its size."""
    stable: bool = True
    """False where equal values may have different digests."""
    content: Digest | None = None
    """Digest of the concatenated `parts`, if known; it is computed otherwise."""
    share: Callable[[], tuple[Part, ...] | None] | None = None
    """Of a `Shareable` codec whose `adopt` takes another form than the `parts`: makes that one (or
    None, where there is none), once the parts are not needed any more."""
    names: tuple[Any, ...] = ()
    """The classes, functions and tasks that the encoding only names."""
    later: Callable[[], Encoded] | None = None
    """In place of `parts` where making them costs much more than the digest does: called only if
    no equal value is stored yet."""


@runtime_checkable
class Codec(Protocol):
    """Stores the values of some types as bytes. Implementations are stateless."""

    name: str
    """Stands in the record and in the object's name; never reused for another format."""

    def accepts(self, type_: Any) -> bool:
        """True for the classes (or annotations) whose values this codec stores."""
        ...

    def encode(self, value: Any, type_: Any) -> Encoded:
        """The bytes and the digest. `type_` is the annotation, or the value's class."""
        ...

    def decode(self, data: bytes, type_: Any) -> Any:
        """A fresh value that shares no mutable memory with `data` or with any other value."""
        ...


class Shareable(Codec, Protocol):
    """What a codec adds whose values need no decoding where they lie in memory already.

    Optional: the values of other codecs are decoded from a fast copy as from the store.
    """

    lies_in_place: bool
    """True where `decode` makes a value that lies in the bytes that it is given."""

    def share(self, value: Any) -> tuple[Part, ...] | None:
        """A value as `adopt` takes it, without a copy; None where that would be another value."""
        ...

    def decode(self, data: bytes | memoryview, type_: Any) -> Any:
        """As every codec's; writable bytes are the value's own, to lie in."""
        ...

    def adopt(self, parts: Sequence[memoryview], type_: Any) -> Any:
        """The value. Writable parts are its own, to lie in; read-only ones are others' as well."""
        ...

    def traits(self, value: Any, type_: Any = None, data: Part | None = None) -> Traits | None:
        """By what a value that was handed out is known again; None where it cannot be.

        Args:
            value: a value of this codec.
            type_: the annotation by which it was read, if it was just now.
            data: the stored bytes that it was decoded from, if it was just now.
        """
        ...


def shareable(codec: Codec) -> Shareable | None:
    """The codec, if it is one. `isinstance` looks at each method, which takes 10 µs."""
    return cast(Shareable, codec) if hasattr(codec, "adopt") else None


def sharing(store: ValueStore | None) -> SharingStore | None:
    """The store, if fast copies may lie beside it."""
    return cast(SharingStore, store) if hasattr(store, "take") else None


@dataclass(frozen=True, slots=True)
class Traits:
    """What a value shows of itself without being read: all of it that can change in place."""

    shown: Hashable = ()
    address: int = 0
    """Where its bytes lie, of a value that can be written to; 0 of one that cannot."""
    size_bytes: int = 0


class Writer(Protocol):
    """One encoding on its way: where forms put what is not plain JSON."""

    @property
    def files_url(self) -> str | None:
        """URL prefix for files of the run, where one is known."""
        ...

    def force(self, path: Path) -> None:
        """See that a file or folder is on the disk, if the record that names it will be."""
        ...

    def leaf(self, codec: Codec, value: Any, type_: Any) -> Node:
        """Encode by a codec; the node that stands for it."""
        ...

    def embed(self, codec: str, encoded: Encoded) -> Node:
        """A node for what was encoded elsewhere."""
        ...

    def tell(self, cls: type) -> None:
        """Say that a value's own class tells what it is, since no annotation does."""
        ...

    def mark(self) -> None:
        """Say that a node with a `$` mark that counts differently in digests was made."""
        ...

    def with_digest(self, node: Node, tag: str, digest: Digest) -> Node:
        """The same node under a digest that the author gave."""
        ...

    def pickle(self, value: Any, type_: Any, digest: Digest | None = None) -> Node:
        """The last resort: a pickled leaf, with a digest from elsewhere if there is one.

        `type_` is a class that an annotation names, or that was told.
        """
        ...


class Reader(Protocol):
    """One decoding on its way."""

    def leaf(self, node: Node, type_: Any) -> Any:
        """The value behind a marked leaf, as `type_` wants it."""
        ...

    def without_digest(self, node: Node) -> Node:
        """The inverse of `Writer.with_digest`."""
        ...


class Form(Protocol):
    """How the values of one annotation look as plain JSON. Stateless and shared by threads."""

    @property
    def name(self) -> str:
        """Readable name of the annotation, such as `list[date]`."""
        ...

    @property
    def plain(self) -> bool:
        """True when the node equals the one that the same value has without any annotation."""
        ...

    def dump(self, value: Any, writer: Writer) -> Node:
        """Check, coerce, lay out. Raises `Mismatch`."""
        ...

    def load(self, node: Node, reader: Reader) -> Any:
        """The inverse of `dump`; a fresh value."""
        ...

    def fits(self, value: Any) -> bool:
        """True when the value's own class is exactly what the annotation says (shallow)."""
        ...

    def tag(self, value: Any) -> str:
        """The type name that enters the digest and the record for this value."""
        ...


def exact_class(form: Form) -> type | None:
    """The class whose very instances are their own nodes under a form, if it says one.

    `object` stands for every scalar class.
    """
    found: type | None = getattr(form, "exact", None)
    return found


class Container(Form, Protocol):
    """A form whose values have elements that lineage can follow."""

    def elements(self, value: Any, node: Node) -> Iterable[tuple[str, Node]]:
        """Tag and node of each element."""
        ...


class Forms(Protocol):
    """Finds the form of an annotation (`codec/registry`); handed to rooms that need others'."""

    @property
    def anything(self) -> Form:
        """The form of `Any`."""
        ...

    def form_of(self, type_: Any) -> Form:
        """The form of an annotation; the same object each time."""
        ...

    def label_of(self, cls: type) -> str | None:
        """A name under which every process finds the class again, or None."""
        ...

    def class_of(self, label: str) -> type:
        """The inverse of `label_of`. Raises `LookupError`."""
        ...


class Hooked(Protocol):
    """A class that stores itself (`io.File`): it names its codec and has both directions."""

    __flyte_codec__: str

    def __flyte_encode__(self, writer: Writer) -> Encoded: ...
    @classmethod
    def __flyte_decode__(cls, value: EncodedValue, reader: Any) -> Any: ...
    @classmethod
    def __flyte_accept__(cls, value: Any) -> Any:
        """The value as an instance of the class, or `NotImplemented`.

        Optional beside it: `__flyte_parse__(node)` makes one of plain JSON, `__flyte_give__(type)`
        makes another class's value of it.
        """
        ...


class Mismatch(TypeError):
    """A value does not fit its annotation; caught and worded by `codec/payload`."""

    def __init__(self, expected: str, value: Any, *, why: str = "", path: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.value = value
        self.why = why
        self.path = path

    def inside(self, step: str) -> Mismatch:
        """The same mismatch, seen from one level further out."""
        self.path = step + self.path
        return self

    def describe(self) -> str:
        """Where, what was expected, what came."""
        place = f" at {self.path}" if self.path else ""
        came = f"{type_name(type(self.value))} ({shorten(self.value)})"
        why = f": {self.why}" if self.why else ""
        return f"{place} expects {self.expected}, got {came}{why}"


class Unserializable(TypeError):
    """A value cannot be stored; caught and worded by `codec/payload`."""

    def __init__(self, value: Any, why: str) -> None:
        super().__init__(why)
        self.value = value
        self.why = why
        self.path = ""

    def inside(self, step: str) -> Unserializable:
        """The same, seen from one level further out."""
        self.path = step + self.path
        return self


REFUSALS = (Mismatch, Unserializable)


def type_name(cls: type) -> str:
    """Short name of a class: bare for Python's own, with its top package for a library's."""
    if cls is type(None):
        return "None"
    name = cls.__qualname__.replace("<locals>.", "")
    library = cls.__module__.partition(".")[0]
    return f"{library}.{name}" if library in ("numpy", "pandas", "polars", "pyarrow") else name


def is_instance(value: Any, cls: type) -> bool:
    """`isinstance`, and true where a class cannot say: a Protocol that is not runtime_checkable."""
    try:
        return isinstance(value, cls)
    except TypeError:
        return True


def shorten(value: Any) -> str:
    """A value for a message: one line, at most 80 characters, whatever its `repr` does."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a user's __repr__ must not hide the real error
        text = f"<repr failed: {type(error).__name__}>"
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"


def is_namesake(cls: type, other: type) -> bool:
    """True for two copies of one class: a script's module is `__main__` in one place only."""
    return (
        cls.__qualname__ == other.__qualname__
        and cls is not other
        and "__main__" in (cls.__module__, other.__module__)
    )
