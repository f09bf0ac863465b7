"""PUBLIC: a blocking form for async functions, on a background loop; `.aio` is the awaitable form.

Never for task bodies: see `_syncify`, where it is at home.
"""

from flyte_ray._syncify import Syncify, syncify

__all__ = ["Syncify", "syncify"]
