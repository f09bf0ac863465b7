"""Names of our actors and keys in the cluster, and how to reach them.

Everything that lives in a cluster stands in one Ray namespace (a setting). A host's name holds the
store and the release, so that two releases, or two stores, on one cluster do not meet. Small facts
that all processes of a cluster must see at once lie in Ray's internal key-value store; it goes with
the cluster, so nothing there is needed to recover a run elsewhere.
"""

from __future__ import annotations

import hashlib
import time
from typing import Any

import ray
from ray.experimental import internal_kv

from flyte_ray.core.calls import AttemptSpec
from flyte_ray.runtime.lives import Lives

_KV = b"flyte_ray"
_actors: dict[str, Any] = {}


def host_name(store_url: str, release: str, namespace: str) -> str:
    """The full name of the host actor for a store: `<Ray namespace>/<actor name>`."""
    digest = hashlib.sha256(f"{store_url}\n{release}".encode()).hexdigest()[:16]
    return f"{namespace}/host-{digest}"


def parted(name: str) -> tuple[str, str]:
    """A full name's Ray namespace and actor name."""
    namespace, _, actor = name.rpartition("/")
    return namespace, actor


def host_handle(name: str) -> Any:
    """The host actor. Looked up once per process (5 ms); forgotten after a failure.

    Raises:
        ValueError: there is no such actor in the cluster.
    """
    if name not in _actors:
        namespace, actor = parted(name)
        _actors[name] = ray.get_actor(actor, namespace=namespace)
    return _actors[name]


def is_known(name: str) -> bool:
    """True if the cluster has such an actor, even one between two lives."""
    try:
        host_handle(name)
    except ValueError:
        return False
    return True


def forget(name: str) -> None:
    """Look the actor up again next time."""
    _actors.pop(name, None)


# ---- facts of the cluster


def _started_key(spec: AttemptSpec) -> bytes:
    return f"started/{spec.run.name}/{spec.action_id}/{spec.attempt}".encode()


def say_started(spec: AttemptSpec) -> None:
    """The attempt has left the queue (asked for only where its queued time is limited)."""
    internal_kv._internal_kv_put(_started_key(spec), b"1", namespace=_KV)


def has_started(spec: AttemptSpec) -> bool:
    """True once a worker has the attempt."""
    return bool(internal_kv._internal_kv_exists(_started_key(spec), namespace=_KV))


def forget_started(spec: AttemptSpec) -> None:
    """The attempt has ended: the fact is of no more use."""
    internal_kv._internal_kv_del(_started_key(spec), namespace=_KV)


def _words_key(spec: AttemptSpec) -> bytes:
    # The number of an attempt may come again; the time at which it was submitted does not.
    return f"words/{spec.run.name}/{spec.action_id}/{spec.queued_us}".encode()


def leave_words(spec: AttemptSpec, outcome: bytes) -> None:
    """What an attempt came to, of a process that ends instead of answering."""
    internal_kv._internal_kv_put(_words_key(spec), outcome, namespace=_KV)


def last_words(spec: AttemptSpec) -> bytes | None:
    """What the attempt's process has left, if it has; kept until the run ends."""
    words: bytes | None = internal_kv._internal_kv_get(_words_key(spec), namespace=_KV)
    return words


def remember_door(host: str, door: str) -> None:
    """Where workers on the host's machine can knock: `<node id>:<socket path>`."""
    internal_kv._internal_kv_put(f"door/{host}".encode(), door.encode(), namespace=_KV)


def door_of(host: str) -> str | None:
    """The host's door, if it has one."""
    door = internal_kv._internal_kv_get(f"door/{host}".encode(), namespace=_KV)
    return door.decode() if door else None


def remember_run(host: str, run: str, order: bytes) -> bool:
    """The host opens this run; a restarted host goes on with it. False: it has it open already."""
    key = f"open/{host}/{run}".encode()
    return not internal_kv._internal_kv_put(key, order, overwrite=False, namespace=_KV)


def forget_run(host: str, run: str) -> None:
    """The run has ended."""
    internal_kv._internal_kv_del(f"open/{host}/{run}".encode(), namespace=_KV)
    internal_kv._internal_kv_del(f"lives/{host}/{run}".encode(), namespace=_KV)
    internal_kv._internal_kv_del(f"words/{run}/".encode(), del_by_prefix=True, namespace=_KV)


def next_life(host: str, run: str, done: int) -> Lives:
    """A new life of the host takes the run over, of which so many actions have ended."""
    key = f"lives/{host}/{run}".encode()
    text = internal_kv._internal_kv_get(key, namespace=_KV)
    lives = (Lives.from_text(text.decode()) if text else Lives()).next(done, time.time())
    internal_kv._internal_kv_put(key, lives.to_text().encode(), namespace=_KV)
    return lives


def remembered_runs(host: str) -> dict[str, bytes]:
    """Runs that the host had open when it died: name to order."""
    prefix = f"open/{host}/".encode()
    keys = internal_kv._internal_kv_list(prefix, namespace=_KV)
    orders = {key: internal_kv._internal_kv_get(key, namespace=_KV) for key in keys}
    return {key[len(prefix) :].decode(): order for key, order in orders.items() if order}
