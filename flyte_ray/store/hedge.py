"""A conditional write that does not wait for one slow request.

One request in a hundred of a cloud store takes 300 ms and more, and a dropped connection costs the
client a second before it tries again. Such a write is sent a second time, with the same bytes:
put-if-absent makes that harmless, and whichever is answered first decides.
"""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue

from flyte_ray.core.ports import Blobs


def put_new_hedged(blobs: Blobs, key: str, data: bytes, after_s: float | None) -> bool:
    """`blobs.put_new`, sent again if it takes longer than `after_s` (None: never).

    Raises what the store raised, if both requests failed.
    """
    if after_s is None:
        return blobs.put_new(key, data)
    answers: SimpleQueue[bool | BaseException] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(blobs.put_new(key, data))
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that asked
            answers.put(error)

    # Daemons: a request that hangs must not keep the interpreter from ending.
    threading.Thread(target=ask, name="flyte-ray-put", daemon=True).start()
    try:
        answer = answers.get(timeout=after_s)
    except Empty:
        threading.Thread(target=ask, name="flyte-ray-hedge", daemon=True).start()
        answer = answers.get()
        if isinstance(answer, BaseException):
            answer = answers.get()
    if isinstance(answer, BaseException):
        raise answer
    return answer
