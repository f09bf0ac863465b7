"""Names of runs and actions: deterministic, so that finished work is found again.

An action's id follows from where it was asked for and what it is, never from when or on which
machine. The parent enters by its *scope*, which leaves out the parent's code identity: editing an
orchestrating task renames that task, but not the untouched children below it, so a recovered run
adopts them (see `docs/decisions/`).

    scope(child)  = H(version, scope(parent), task name,     inputs, group, sequence)
    id(child)     = H(version, scope(parent), own identity,  inputs, group, sequence)

Nothing here reads a clock or a random source.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import NewType

RunName = NewType("RunName", str)
ActionId = NewType("ActionId", str)
Scope = NewType("Scope", str)

ROOT_ACTION = ActionId("a0")
ROOT_SCOPE = Scope("a0")
VERSION = "1"
"""Enters every id; raised when the meaning of an identity changes (see `core/fingerprint.py`)."""

ID_BYTES = 15

_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
_SHIFTS = range(8 * ID_BYTES - 10, -1, -10)
"""Two digits (10 bits) at a time: `base64.b32hexencode` takes three times as long, and every call
makes two of these."""


def derive(*components: str) -> str:
    """24 lower-case letters and digits (120 bits, base 32) of the components, in their order."""
    return _name_of(b"".join([_framed(component) for component in components]))


def child_id(
    parent: Scope, own_identity: str, inputs_digest: str, group: str, sequence: int
) -> ActionId:
    """The id of the `sequence`-th equal call (1, 2, …) of a task under one parent."""
    head = _head(VERSION, "id", parent, own_identity)
    return ActionId(_name_of(head + _framed(inputs_digest) + _tail(group, sequence)))


def child_scope(
    parent: Scope, task_name: str, inputs_digest: str, group: str, sequence: int
) -> Scope:
    """The scope under which that child names its own children."""
    head = _head(VERSION, "scope", parent, task_name)
    return Scope(_name_of(head + _framed(inputs_digest) + _tail(group, sequence)))


def _framed(component: str) -> bytes:
    part = component.encode("utf-8", "surrogatepass")
    return len(part).to_bytes(8, "big") + part


@lru_cache(maxsize=256)
def _head(*components: str) -> bytes:
    """What the calls of one task under one parent have in common."""
    return b"".join([_framed(component) for component in components])


@lru_cache(maxsize=256)
def _tail(group: str, sequence: int) -> bytes:
    return _framed(group) + _framed(str(sequence))


def _name_of(framed: bytes) -> str:
    number = int.from_bytes(hashlib.sha256(framed).digest()[:ID_BYTES], "big")
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])
