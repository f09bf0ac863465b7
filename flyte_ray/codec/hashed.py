"""Values with a hash of the author's own: `Annotated[T, HashFunction.from_fn(...)]`.

The hash takes the place of the content in the digest; bytes stay guarded by a digest of their own.
"""

from __future__ import annotations

import operator
import threading
from typing import Annotated, Any, Protocol, get_args, get_origin, runtime_checkable

from flyte_ray.codec.codec import Form, Forms, Node, Reader, Writer
from flyte_ray.core.digest import Digest, digest_json

# Hash methods keep state between `update` and `result`, and one annotation serves all threads.
_one_at_a_time = threading.Lock()


@runtime_checkable
class HashMethod(Protocol):
    """What `io.hashing` calls a hash method, as far as this floor uses it."""

    def update(self, data: Any) -> None: ...
    def result(self) -> str: ...


class HashedForm:
    """A form whose values get their digest from a hash method."""

    plain = False

    def __init__(self, inner: Form, method: HashMethod) -> None:
        self.inner = inner
        self.method = method
        self.name = inner.name

    def dump(self, value: Any, writer: Writer) -> Node:
        node = self.inner.dump(value, writer)
        return writer.with_digest(node, self.inner.tag(value), self._digest(value))

    def _digest(self, value: Any) -> Digest:
        with _one_at_a_time:
            if (reset := getattr(self.method, "reset", None)) is not None:
                reset()
            self.method.update(value)
            return digest_json(["hash", str(self.method.result())])

    def load(self, node: Node, reader: Reader) -> Any:
        return self.inner.load(reader.without_digest(node), reader)

    def fits(self, value: Any) -> bool:
        return self.inner.fits(value)

    def tag(self, value: Any) -> str:
        return self.inner.tag(value)


def form_of(type_: Any, forms: Forms) -> Form | None:
    """The form of `Annotated[T, hash method]`; None for all others."""
    if get_origin(type_) is not Annotated:
        return None
    inner, *notes = get_args(type_)
    for note in notes:
        if not isinstance(note, type) and isinstance(note, HashMethod):
            rest = [each for each in notes if each is not note]
            bare = operator.getitem(Annotated, (inner, *rest)) if rest else inner
            return HashedForm(forms.form_of(bare), note)
    return None
