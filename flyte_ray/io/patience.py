"""Files on their way into a store that is away: told as that, and waited for like the record.

Clients of buckets raise errors of their own. Those that may pass become `StoreError`, so that an
attempt waits for them with its outputs, and is repeated on the platform's account if that was not
enough. Everything else stays what it was: a file that is missing, or changed, or forbidden.

Only for work that may be repeated from its beginning; a stream that an author writes is not.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from flyte_ray.core import context
from flyte_ray.errors import StoreError
from flyte_ray.store.pacing import REMOTE
from flyte_ray.store.patience import Patience
from flyte_ray.store.remote_blobs import is_transient

T = TypeVar("T")

_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def answering(url: str) -> Iterator[None]:
    """What goes wrong inside because the store does not answer is a `StoreError`."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        is_full = isinstance(error, OSError) and error.errno in _FULL
        if not is_full and not is_transient(error):
            raise
        raise StoreError(
            f"the store of {url} does not take it ({type(error).__name__}: {error}): check the"
            " network, the service and its space, then try again",
            url=url,
        ) from error


def patiently(url: str, work: Callable[[], T]) -> T:
    """What the work returns; while the store is away it is repeated, as long as the record waits.

    Blocks. Outside of a task it is tried once.
    """

    def tried() -> T:
        with answering(url):
            return work()

    here = context.current()
    if here is None:
        return tried()
    return Patience(here.run.name, REMOTE.patience_s).ask(tried)
