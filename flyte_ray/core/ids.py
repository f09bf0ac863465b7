"""Names of runs and actions: deterministic, so that finished work is found again.

An action's id follows from where it was asked for and what it is, never from when or on which
machine. The parent enters by its *scope*, which leaves out the parent's code identity: editing an
orchestrating task renames that task, but not the untouched children below it, so a recovered run
adopts them (see `docs/decisions/`).

    scope(child)  = H(version, scope(parent), task name,     inputs, group, sequence)
    id(child)     = H(version, scope(parent), task identity, inputs, group, sequence)

Nothing here reads a clock or a random source.
"""

from __future__ import annotations

import hashlib
from typing import NewType

RunName = NewType("RunName", str)
ActionId = NewType("ActionId", str)
Scope = NewType("Scope", str)

ROOT_ACTION = ActionId("a0")
ROOT_SCOPE = Scope("a0")
VERSION = "1"
"""Enters every id; raised when the meaning of an identity changes (see `core/fingerprint.py`)."""

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
ID_LENGTH = 25


def derive(*components: str) -> str:
    """25 lower-case base-36 characters (about 129 bits) from the components, order significant."""
    h = hashlib.sha256()
    for component in components:
        data = component.encode("utf-8", "surrogatepass")
        h.update(len(data).to_bytes(8, "big"))
        h.update(data)
    number = int.from_bytes(h.digest()[:20], "big")
    digits = []
    for _ in range(ID_LENGTH):
        number, rest = divmod(number, 36)
        digits.append(_ALPHABET[rest])
    return "".join(digits)


def child_id(
    parent: Scope, task_identity: str, inputs_digest: str, group: str, sequence: int
) -> ActionId:
    """The id of the `sequence`-th equal call (1, 2, …) of a task under one parent."""
    return ActionId(
        derive(VERSION, "id", parent, task_identity, inputs_digest, group, str(sequence))
    )


def child_scope(
    parent: Scope, task_name: str, inputs_digest: str, group: str, sequence: int
) -> Scope:
    """The scope under which that child names its own children."""
    return Scope(derive(VERSION, "scope", parent, task_name, inputs_digest, group, str(sequence)))
