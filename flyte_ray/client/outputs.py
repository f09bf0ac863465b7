"""Inputs and outputs of a run as its caller handles them: a tuple with names, a dict."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping
from typing import Any

from flyte_ray.client.session import Session
from flyte_ray.core.ids import RunName
from flyte_ray.core.payload import Payload
from flyte_ray.store.values import RunValues


class ActionOutputs(tuple[Any, ...]):
    """A tuple with one element per output (`(None,)` for none); the names are kept beside it."""

    named_outputs: dict[str, Any]

    def __new__(cls, named: Mapping[str, Any]) -> ActionOutputs:
        outputs = super().__new__(cls, tuple(named.values()) or (None,))
        outputs.named_outputs = dict(named)
        return outputs

    def __getnewargs__(self) -> tuple[dict[str, Any]]:
        return (self.named_outputs,)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["named_outputs"][name]
        except KeyError:
            raise AttributeError(f"no output {name!r}") from None


class ActionInputs(UserDict[str, Any]):
    """The inputs by name."""


def named_values(session: Session, payload: Payload, types: Mapping[str, Any]) -> dict[str, Any]:
    """The decoded values by name; without types, as plain as they were stored."""
    values = RunValues(session.blobs(), RunName(""))
    known = {name: types.get(name, Any) for name in payload.values}
    return session.codecs.decode(payload, known, values)
