"""Put-once letters to a run, for whoever cannot reach its host: abort, signal, late outcomes.

Anybody may post; the run's host looks for letters now and then (one LIST) and acts on them. Of two
letters of the same kind and name the first one counts; nothing is ever taken back.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from flyte_ray.core.ids import RunName
from flyte_ray.core.model import utc_now_us
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import StoreError
from flyte_ray.store import layout
from flyte_ray.store.parallel import in_parallel

logger = logging.getLogger(__name__)


ABORT = "abort"
"""Kind, and name, of the letter that ends a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One letter as it was posted."""

    kind: str
    name: str
    body: Mapping[str, Any]
    at_us: int
    """The sender's wall clock, for the record."""


class Mailbox:
    """The letters of one run. Thread-safe; reads each letter once."""

    def __init__(self, blobs: Blobs, run: RunName) -> None:
        self._blobs = blobs
        self._run = run
        self._lock = threading.Lock()
        self._read: dict[str, Letter] = {}

    def post(self, kind: str, name: str, body: Mapping[str, Any]) -> bool:
        """Post a letter; False if one of that kind and name lies there already.

        `body`: plain JSON values.
        """
        # The token makes the bytes this letter's alone, so that a lost reply can be settled.
        letter = {
            "kind": kind,
            "name": name,
            "body": dict(body),
            "at_us": utc_now_us(),
            "token": uuid4().hex,
        }
        return self._blobs.put_new(
            layout.letter(self._run, kind, name), json.dumps(letter).encode()
        )

    def letter(self, kind: str, name: str) -> Letter | None:
        """One letter, if it was posted. Costs one GET, or none when it has been read before."""
        file_name = layout.letter_name(kind, name)
        with self._lock:
            known = self._read.get(file_name)
        if known is not None:
            return known
        try:
            data = self._blobs.get(f"{layout.mail(self._run)}/{file_name}")
        except FileNotFoundError:
            return None
        found = self._parsed(file_name, data)
        if found is not None:
            with self._lock:
                self._read[file_name] = found
        return found

    def letters(self, kind: str | None = None) -> list[Letter]:
        """All letters (of one kind) there are now, by kind and name. Costs one LIST."""
        names = self._blobs.list(layout.mail(self._run))
        wanted = [n for n in names if kind is None or layout.letter_kind(n) == kind]
        with self._lock:
            new = [name for name in wanted if name not in self._read]
            found = in_parallel(self._blobs, self._open, new)
            self._read.update({n: each for n, each in zip(new, found, strict=True) if each})
            letters = [self._read[name] for name in wanted if name in self._read]
        return sorted(letters, key=lambda letter: (letter.kind, letter.name))

    def _open(self, file_name: str) -> Letter | None:
        try:
            data = self._blobs.get(f"{layout.mail(self._run)}/{file_name}")
        except FileNotFoundError as error:
            data = b""
            logger.debug("letter %s is gone: %s", file_name, error)
        return self._parsed(file_name, data)

    def _parsed(self, file_name: str, text: bytes) -> Letter | None:
        try:
            data = json.loads(text)
            return Letter(
                kind=data["kind"], name=data["name"], body=data["body"], at_us=data["at_us"]
            )
        except (ValueError, KeyError, TypeError) as error:
            key = f"{layout.mail(self._run)}/{file_name}"
            logger.warning("%s/%s is no letter: %r", self._blobs.url, key, error)
            return None


def post_abort(blobs: Blobs, run: RunName, reason: str) -> None:
    """Post that the run is to end; a store that does not take the letter is only warned of."""
    try:
        Mailbox(blobs, run).post(ABORT, ABORT, {"reason": reason})
    except StoreError as error:
        logger.warning("that run %s is aborted is not in the store yet: %s", run, error)


def abort_reason(blobs: Blobs, run: RunName) -> str | None:
    """Why the run is to end, if a letter says that it is. Costs one LIST."""
    letters = Mailbox(blobs, run).letters(ABORT)
    return str(letters[0].body.get("reason", "")) if letters else None
