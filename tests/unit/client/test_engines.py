"""Which engine carries a run, and that there is one of each."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from flyte_ray.client.config import load_settings
from flyte_ray.client.engines import engine_of
from flyte_ray.client.session import Session
from flyte_ray.core.ports import Blobs

ASKERS = 3


class _Shelf(dict[str, Any]):
    """Engines by mode; tells when everybody has looked and found none."""

    def __init__(self) -> None:
        super().__init__()
        self.all_have_looked = threading.Event()
        self._askers: set[int] = set()

    def get(self, key: str, default: Any = None) -> Any:
        found = super().get(key, default)
        self._askers.add(threading.get_ident())
        if len(self._askers) == ASKERS:
            self.all_have_looked.set()
        return found


class _SlowSession(Session):
    """One whose store is open only once every thread has asked for an engine."""

    def __init__(self, store: Path) -> None:
        super().__init__(load_settings(store=str(store)))
        self.shelf = _Shelf()
        self.engines = self.shelf

    def blobs(self) -> Blobs:
        assert self.shelf.all_have_looked.wait(30)
        return super().blobs()


def test_threads_that_ask_at_once_share_one_engine(tmp_path: Path) -> None:
    session = _SlowSession(tmp_path)
    with ThreadPoolExecutor(ASKERS) as threads:
        engines = list(threads.map(lambda _: engine_of(session, "local"), range(ASKERS)))
    assert len({id(engine) for engine in engines}) == 1


def test_who_wants_another_engine_does_not_wait(tmp_path: Path) -> None:
    session = Session(load_settings(store=str(tmp_path)))
    with ThreadPoolExecutor(1) as threads, session.engine_locks["remote"]:
        local = threads.submit(engine_of, session, "local").result(30)
    assert session.engines == {"local": local}
