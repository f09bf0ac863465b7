"""Questions whose answers must be read from the store: gathered, and answered many at once.

While one batch is being answered the next one gathers (the idea of the ledger's group commit), so a
fan-out of thousands costs a few reads, and nobody's event loop waits for a bucket. The thread lives
while there are questions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from flyte_ray.core.calls import Answer, Question

Answers = list[Answer | None]


class Asker:
    """Puts questions, in batches, to a function that may block. Thread-safe."""

    def __init__(self, answer: Callable[[Sequence[Question]], Answers]) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self._waiting: list[tuple[Sequence[Question], Future[Answers]]] = []
        self._is_at_work = False

    def ask(self, questions: Sequence[Question]) -> Future[Answers]:
        """The answers, in the order of these questions; raises what the function raised."""
        future: Future[Answers] = Future()
        with self._lock:
            self._waiting.append((questions, future))
            if self._is_at_work:
                return future
            self._is_at_work = True
        threading.Thread(target=self._serve, name="flyte-ray-asker", daemon=True).start()
        return future

    def _serve(self) -> None:
        while True:
            with self._lock:
                batch, self._waiting = self._waiting, []
                if not batch:
                    self._is_at_work = False
                    return
            try:
                answers = self._answer([each for questions, _ in batch for each in questions])
            except BaseException as error:  # noqa: BLE001  raised again by those who asked
                for _, future in batch:
                    future.set_exception(error)
                continue
            place = 0
            for questions, future in batch:
                future.set_result(answers[place : place + len(questions)])
                place += len(questions)
