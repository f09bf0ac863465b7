"""Code that may be other code by the next run: cells of a notebook, closures over what can change.

A task knows its identity once and for all, as its module does not change under it. In a notebook a
cell is executed again, a constant is set anew, and the task object, which nobody made again, now
does something else. So whoever keeps what such code came to is told here, before each run, to
forget it; and all are told where a module was loaded again (`importlib.reload`, `%autoreload`).
Within a run nothing is forgotten by itself: all calls of a run see one state.
"""

from __future__ import annotations

import threading
import weakref
from typing import Protocol

from flyte_ray.core.loaded_text import read_loaded
from flyte_ray.core.named_code import forget_named_code
from flyte_ray.core.reach import forget_reach
from flyte_ray.core.reloading import were_loaded_again
from flyte_ray.core.roots import forget_live_roots


class Keeper(Protocol):
    """Keeps what code came to."""

    def forget_code(self) -> None: ...


_turn = threading.Lock()
_keepers: weakref.WeakSet[Keeper] = weakref.WeakSet()
"""Of live code."""
_settled: weakref.WeakSet[Keeper] = weakref.WeakSet()
"""Of modules' code."""


def remember(keeper: Keeper, *, is_live: bool) -> None:
    """Tell the keeper when it must forget."""
    (_keepers if is_live else _settled).add(keeper)


def forget_live_code() -> None:
    """Called before a run: what was kept of live code is read anew when it is asked for.

    Threads that start runs at once take turns: none goes on with what another is about to forget.
    """
    with _turn:
        _forget_live_code()


def _forget_live_code() -> None:
    forget_live_roots()
    forget_named_code()
    told = list(_keepers)
    is_reloaded = were_loaded_again()
    read_loaded(is_reloaded=is_reloaded)
    if is_reloaded:
        forget_reach()
        told += list(_settled)
    for keeper in told:
        keeper.forget_code()
