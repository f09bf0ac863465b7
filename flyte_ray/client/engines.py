"""The one place that chooses an engine: this process, an embedded Ray, or a cluster.

The only room with imports inside functions: the in-process engine must not load Ray, and
`import flyte_ray` must load neither.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Protocol, cast

from flyte_ray._release import version
from flyte_ray.author.scope import announce_session
from flyte_ray.client.session import Session
from flyte_ray.client.watch import tell
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.ports import RunLink
from flyte_ray.engine.action import Action

MODES = ("local", "remote", "hybrid")


class Engine(Protocol):
    """Runs whole runs."""

    def check(self, options: TaskOptions) -> str | None:
        """Why such a task could never run, or None."""
        ...

    def start(self, root: Action) -> RunLink:
        """Begin a run; returns as soon as it exists."""
        ...

    def attach(self, run: str) -> RunLink | None:
        """The link to a run that is underway; None when this engine does not carry it."""
        ...


class ClusterEngine(Engine, Protocol):
    """An engine on a cluster, where things stay warm."""

    def pools(self) -> Sequence[Any]:
        """How its pools of warm replicas stand."""
        ...

    def stop_pool(self, name: str) -> Sequence[str]:
        """End pools by name or environment; their names."""
        ...


def mode_of(session: Session, asked: str | None) -> str:
    """The engine's mode: what the call asks, else the settings, else Ray.

    Raises:
        ValueError: no such mode.
    """
    mode = asked or session.settings.mode or "remote"
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    return "local" if mode == "local" else "remote"


def engine_of(session: Session, mode: str) -> Engine:
    """The engine for a mode; made once per session, by the thread that is first to ask.

    May start Ray (seconds); other threads wait for it, those alone that want the same engine.
    Making one needs nobody's event loop, so a loop that stands meanwhile is not waited for.
    """
    engine: Engine | None = session.engines.get(mode)
    if engine is None:
        with session.engine_locks[mode]:
            engine = session.engines.get(mode)
            if engine is None:
                engine = _local(session) if mode == "local" else _ray(session)
                session.engines[mode] = engine
    return engine


def connected_engine(session: Session) -> ClusterEngine | None:
    """The Ray engine if a cluster is connected or named; never starts one."""
    known: ClusterEngine | None = session.engines.get("remote")
    if known is not None:
        return known
    from flyte_ray.runtime import cluster

    if not cluster.is_named(session.settings.address):
        return None
    return cast(ClusterEngine, engine_of(session, "remote"))


def _local(session: Session) -> Engine:
    from flyte_ray.engine.assembly import LocalEngine

    return LocalEngine(blobs=session.blobs(), cache=session.cache(), codecs=session.codecs)


def _ray(session: Session) -> Engine:
    from flyte_ray.runtime import cluster
    from flyte_ray.runtime.wiring import RayEngine

    settings = session.settings
    if not cluster.is_named(settings.address) and settings.progress and sys.stderr.isatty():
        tell("starting a Ray on this machine (RAY_ADDRESS attaches to one that is there)")
    cluster.connect(settings.address, session.store_url)
    announce_session(project=settings.project, domain=settings.domain, connected=True)
    return RayEngine(
        store_url=session.store_url,
        fsync=settings.fsync,
        release=version(),
        namespace=settings.namespace,
    )
