"""Which form an annotation has: found once, then remembered.

Order: a class that stores itself (`__flyte_codec__`); codecs that were registered; the forms of the
floor; the room of a library that is loaded only with it (numpy, pyarrow, pydantic, …); an adapter
package `flyte_ray_<library>`, tried once per library; at last the form of unknown classes, which
pickles. Nothing here imports a library that the type does not come from.

No lock is held while a form is compiled, since that may import an adapter, which registers itself:
two threads may compile the same form, and either copy is good.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

from flyte_ray.codec.classes import ClassForm, HookedForm, LateForm, LeafForm
from flyte_ray.codec.codec import Codec, Form, Forms
from flyte_ray.codec.dynamic import DynamicForm
from flyte_ray.codec.labels import class_named, label_of, named_class

logger = logging.getLogger(__name__)

FormFactory = Callable[[Any, Forms], Form | None]
"""Compiles an annotation, or says None: not mine."""


class Registry:
    """The forms and codecs of one process. Safe from any thread."""

    def __init__(
        self,
        factories: list[FormFactory],
        *,
        rooms: Mapping[str, str],
        codecs: list[Codec],
        codec_rooms: Mapping[str, str],
    ) -> None:
        """State what is known from the start.

        Args:
            factories: asked in order.
            rooms: top-level package to the module whose `form_of` knows its types.
            codecs: known by name, for reading.
            codec_rooms: name of a codec to the module that lists it in `CODECS`.
        """
        self._factories = factories
        self._rooms = rooms
        self._codec_rooms = codec_rooms
        self._registered: list[Codec] = []
        self._by_name: dict[str, Codec] = {codec.name: codec for codec in codecs}
        self._forms: dict[Any, Form] = {}
        self._unhashable: dict[int, tuple[Any, Form]] = {}
        self._building = threading.local()
        self._adapters: dict[str, bool] = {}
        self._anything = DynamicForm(self)

    @property
    def anything(self) -> Form:
        """The form of `Any`."""
        return self._anything

    def register(self, codec: Codec) -> None:
        """Store the types that `codec` accepts by it from now on.

        Later registrations come first; a codec of the same name takes the other's place.
        """
        others = [each for each in self._registered if each.name != codec.name]
        self._registered = [codec, *others]
        self._by_name[codec.name] = codec
        # New dicts, not cleared ones: a form that is being compiled lands in the old.
        self._forms = {}
        self._unhashable = {}

    def codec(self, name: str, type_name: str = "") -> Codec:
        """The codec of that name.

        Args:
            name: the codec's name in the record.
            type_name: name of the value's type, whose library may have an adapter.

        Raises:
            LookupError: no such codec can be found.
        """
        if name not in self._by_name and name in self._codec_rooms:
            room = importlib.import_module(self._codec_rooms[name])
            self._by_name.update({each.name: each for each in room.CODECS})
        if name not in self._by_name:
            self._load_adapter(type_name.partition(".")[0])
        if name not in self._by_name:
            raise LookupError(f"no codec named '{name}' is registered (for {type_name})")
        return self._by_name[name]

    def form_of(self, type_: Any) -> Form:
        """The form of an annotation."""
        try:
            found = self._forms.get(type_)
        except TypeError:
            # Metadata such as Annotated[T, {...}] cannot be hashed; the annotation itself is kept,
            # so that nothing else can get its id.
            kept = self._unhashable.get(id(type_))
            if kept is None:
                kept = self._unhashable[id(type_)] = (type_, self._compile(type_))
            return kept[1]
        return found if found is not None else self._build(type_)

    def _build(self, type_: Any) -> Form:
        forms = self._forms
        building: dict[Any, LateForm] = self._building.__dict__.setdefault("types", {})
        if type_ in building:
            return building[type_]
        late = building[type_] = LateForm(str(type_))
        try:
            late.target = form = self._compile(type_)
        finally:
            del building[type_]
        forms[type_] = form
        return form

    def _compile(self, type_: Any) -> Form:
        cls = get_origin(type_) or type_
        if isinstance(cls, type) and isinstance(getattr(cls, "__flyte_codec__", None), str):
            return HookedForm(cls)
        for find in (self._by_codec, self._by_factory, self._by_room):
            if (form := find(type_)) is not None:
                return form
        if cls is Annotated:
            # An adapter may know the notes; it is loaded for the class that they are about.
            inner = get_origin(get_args(type_)[0]) or get_args(type_)[0]
            knows = isinstance(inner, type) and self.load_adapters(inner)
            return (self._by_codec(type_) if knows else None) or self.form_of(get_args(type_)[0])
        if not isinstance(cls, type):
            return self._anything
        if self.load_adapters(cls) and (form := self._by_codec(type_)) is not None:
            return form
        return ClassForm(cls, self._anything)

    def _by_codec(self, type_: Any) -> Form | None:
        for codec in self._registered:
            if codec.accepts(type_):
                bare = get_args(type_)[0] if get_origin(type_) is Annotated else type_
                cls = get_origin(bare) or bare
                return LeafForm(codec, type_, cls if isinstance(cls, type) else object)
        return None

    def _by_factory(self, type_: Any) -> Form | None:
        for factory in self._factories:
            if (form := factory(type_, self)) is not None:
                return form
        return None

    def _by_room(self, type_: Any) -> Form | None:
        for library in _libraries(type_):
            if (room := self._rooms.get(library)) is not None:
                form: Form | None = importlib.import_module(room).form_of(type_, self)
                if form is not None:
                    return form
        return None

    def load_adapters(self, cls: type) -> bool:
        """Import the adapters for the libraries of a class; True if there is any."""
        # All of them: a class may come from two libraries.
        loaded = [self._load_adapter(library) for library in _libraries(cls)]
        return any(loaded)

    def _load_adapter(self, library: str) -> bool:
        if library in sys.stdlib_module_names or library in ("", "__main__", "flyte_ray"):
            return False
        if library not in self._adapters:
            self._adapters[library] = _import_adapter(f"flyte_ray_{library}")
        return self._adapters[library]

    def label_of(self, cls: type) -> str | None:
        return label_of(cls)

    def class_of(self, label: str) -> type:
        return named_class(label)

    def class_named(self, name: str) -> Any:
        """The class of a type name in the record, or `Any` where it cannot be found."""
        return class_named(name, [*self._rooms, "flyte_ray"])


def _libraries(type_: Any) -> Iterator[str]:
    """Top-level packages that an annotation comes from, its base classes and notes included."""
    if get_origin(type_) is Annotated:
        inner, *notes = get_args(type_)
        for note in notes:
            library = type(note).__module__.partition(".")[0]
            yield "pydantic" if library == "annotated_types" else library
        yield from _libraries(inner)
        return
    cls = get_origin(type_) or type_
    if isinstance(cls, type):
        yield from dict.fromkeys(each.__module__.partition(".")[0] for each in cls.__mro__)
        if hasattr(cls, "__get_pydantic_core_schema__"):
            yield "pydantic"


def _import_adapter(name: str) -> bool:
    try:
        if importlib.util.find_spec(name) is None:
            return False
        importlib.import_module(name)
    except ImportError as error:
        logger.warning("The adapter %s cannot be imported: %s", name, error)
        return False
    return True
