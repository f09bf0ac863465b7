"""Many small requests, few large calls: a batcher for code that is fastest on whole batches.

Records wait in a queue (full: the submitter waits). One loop gathers them into batches, one hands
the batches on, in order, one at a time; a few batches are made ready meanwhile. Pure asyncio: a
batcher lives on the event loop that started it, and knows nothing of tasks or Ray. Usually it is a
module-level object of a reusable environment with `concurrency` above one.

A batch goes off when its cost reaches `target_batch_cost`, when it is as long as `max_batch_size`,
or `batch_timeout_s` after its first record (a batch below `min_batch_size` waits twice that).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

Record = TypeVar("Record")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStats:
    """What a batcher has done so far."""

    total_submitted: int = 0
    total_completed: int = 0
    total_batches: int = 0
    total_batch_cost: int = 0
    avg_batch_size: float = 0.0
    avg_batch_cost: float = 0.0
    busy_time_s: float = 0.0
    """Seconds in which a batch was being processed."""
    idle_time_s: float = 0.0
    """Seconds in which there was none."""

    @property
    def utilization(self) -> float:
        """The share of time spent processing, 0 to 1."""
        total = self.busy_time_s + self.idle_time_s
        return self.busy_time_s / total if total else 0.0


@dataclass(frozen=True, slots=True)
class _Entry:
    record: Any
    cost: int
    result: asyncio.Future[Any]


class DynamicBatcher(Generic[Record, Result]):
    """Gathers records into batches for an async function.

    Example:
        >>> async def double(batch: list[int]) -> list[int]:
        ...     return [2 * x for x in batch]
        >>> async def main() -> list[int]:
        ...     async with DynamicBatcher(double) as batcher:
        ...         futures = await batcher.submit_batch([1, 2, 3])
        ...         return await asyncio.gather(*futures)
        >>> asyncio.run(main())
        [2, 4, 6]
    """

    def __init__(  # noqa: PLR0913  Flyte's parameters
        self,
        process_fn: Callable[[list[Record]], Awaitable[Sequence[Result]]],
        *,
        cost_estimator: Callable[[Record], int] | None = None,
        target_batch_cost: int = 32_000,
        max_batch_size: int = 256,
        min_batch_size: int = 1,
        batch_timeout_s: float = 0.05,
        max_queue_size: int = 5_000,
        prefetch_batches: int = 2,
        default_cost: int = 1,
    ) -> None:
        """Make one; `start` it, or use it in an `async with` block.

        Args:
            process_fn: takes a list of records; its results are in the same order.
            cost_estimator: the cost of a record that was submitted without one; else
                `record.estimate_cost()`, where there is such a method, else `default_cost`.
            target_batch_cost: a batch does not grow beyond it.
            max_batch_size: nor beyond so many records.
            min_batch_size: a smaller batch waits twice as long.
            batch_timeout_s: so long a batch waits for more records.
            max_queue_size: submitters wait while so many records do.
            prefetch_batches: so many batches are made ready ahead.
            default_cost: see `cost_estimator`.

        Raises:
            ValueError: a number is out of range.
        """
        _check(
            target_batch_cost=target_batch_cost,
            max_batch_size=max_batch_size,
            min_batch_size=min_batch_size,
            max_queue_size=max_queue_size,
            prefetch_batches=prefetch_batches,
        )
        self._process_fn = process_fn
        self._cost_estimator = cost_estimator
        self._target_cost = target_batch_cost
        self._max_size = max_batch_size
        self._min_size = min_batch_size
        self._timeout_s = batch_timeout_s
        self._queue_size = max_queue_size
        self._prefetch = prefetch_batches
        self._default_cost = default_cost
        self._running = False
        self._accepting = False
        self._entering = 0
        self._submitted = self._completed = self._batches = self._cost = self._records = 0
        self._busy_s = self._idle_s = 0.0

    # ---------------------------------------------------------------------------- life

    @property
    def is_running(self) -> bool:
        """True from `start` until `stop` has drained it."""
        return self._running

    async def start(self) -> None:
        """Begin, on the event loop that runs here.

        Raises:
            RuntimeError: it has begun already, or has not quite ended.
        """
        if self._accepting:
            raise RuntimeError("the batcher is running already")
        if self._running:
            raise RuntimeError("the batcher is still being stopped; await its stop() first")
        self._running = self._accepting = True
        self._queue: asyncio.Queue[_Entry | None] = asyncio.Queue(self._queue_size)
        self._ready: asyncio.Queue[list[_Entry] | None] = asyncio.Queue(self._prefetch)
        self._nobody_enters = asyncio.Event()
        self._nobody_enters.set()
        self._loops = (
            asyncio.ensure_future(self._gather()),
            asyncio.ensure_future(self._process()),
        )

    async def stop(self) -> None:
        """Take no more records, finish those that are there, and end. Idempotent.

        Whoever is cancelled in here only stops waiting: the end goes on, and another call waits
        for it.
        """
        if self._accepting:
            self._accepting = False
            self._draining = asyncio.ensure_future(self._drain())
        if self._running:
            await asyncio.shield(self._draining)

    async def _drain(self) -> None:
        try:
            await self._nobody_enters.wait()  # else the end could overtake a waiting submitter
            await self._queue.put(None)
            await asyncio.gather(*self._loops)
        finally:
            self._running = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # ---------------------------------------------------------------------- submitting

    async def submit(
        self, record: Record, estimated_cost: int | None = None
    ) -> asyncio.Future[Result]:
        """Hand a record in; the future of its result. Waits while the queue is full.

        Raises:
            RuntimeError: the batcher is not running.
        """
        if not self._accepting:
            raise RuntimeError("the batcher is not running; start it, or use `async with`")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        entry = _Entry(record, self._cost_of(record, estimated_cost), future)
        self._entering += 1
        self._nobody_enters.clear()
        try:
            await self._queue.put(entry)
            self._submitted += 1
        finally:
            self._entering -= 1
            if not self._entering:
                self._nobody_enters.set()
        return future

    async def submit_batch(
        self, records: Sequence[Record], estimated_cost: int | Sequence[int] | None = None
    ) -> list[asyncio.Future[Result]]:
        """Hand several records in, in order; one cost for all of them, or one each."""
        each = estimated_cost if isinstance(estimated_cost, Sequence) else None
        one = None if isinstance(estimated_cost, Sequence) else estimated_cost
        return [
            await self.submit(record, one if each is None else each[number])
            for number, record in enumerate(records)
        ]

    def _cost_of(self, record: Record, given: int | None) -> int:
        if given is not None:
            return given
        if self._cost_estimator is not None:
            return self._cost_estimator(record)
        estimate = getattr(record, "estimate_cost", None)
        return int(estimate()) if callable(estimate) else self._default_cost

    # ------------------------------------------------------------------------- the loops

    async def _gather(self) -> None:
        """From records to batches, until the queue ends."""
        waiting: _Entry | None = None
        ended = False
        while not ended:
            first = waiting or await self._queue.get()
            if first is None:
                break
            batch, waiting, ended = await self._batch_from(first)
            await self._ready.put(batch)
            del first, batch  # what a failed batch holds must not wait for the next
        await self._ready.put(None)

    async def _batch_from(self, first: _Entry) -> tuple[list[_Entry], _Entry | None, bool]:
        """A batch that begins with `first`; a record that was too much for it; is it the last."""
        batch, cost = [first], first.cost
        began = asyncio.get_running_loop().time()
        while len(batch) < self._max_size and cost < self._target_cost:
            patience = self._timeout_s * (1 if len(batch) >= self._min_size else 2)
            try:
                async with asyncio.timeout_at(began + patience):
                    entry = await self._queue.get()
            except TimeoutError:
                break
            if entry is None:
                return batch, None, True
            if cost + entry.cost > self._target_cost:
                return batch, entry, False
            batch.append(entry)
            cost += entry.cost
        return batch, None, False

    async def _process(self) -> None:
        """From batches to results, until the batches end."""
        clock = asyncio.get_running_loop().time
        since = clock()
        while (batch := await self._ready.get()) is not None:
            began = clock()
            self._idle_s += began - since
            await self._answer([entry for entry in batch if not entry.result.done()])
            since = clock()
            self._busy_s += since - began
            del batch
        self._idle_s += clock() - since

    async def _answer(self, batch: list[_Entry]) -> None:
        if not batch:
            return
        try:
            results = list(await self._process_fn([entry.record for entry in batch]))
            if len(results) != len(batch):
                raise RuntimeError(
                    f"the batch function returned {len(results)} results for {len(batch)} records"
                )
        except BaseException as error:
            _fail(batch, _as_failure(error))
            self._count(batch)
            # The failure's traceback holds this frame, and the frame would hold the failure by way
            # of the batch: a circle, and in it all that the batch function had in (GPU) memory.
            del batch
            if not isinstance(error, Exception) and _ends_us(error):
                raise
        else:
            for entry, result in zip(batch, results, strict=True):
                if not entry.result.done():
                    entry.result.set_result(result)
            self._count(batch)

    def _count(self, batch: list[_Entry]) -> None:
        self._batches += 1
        self._records += len(batch)
        self._completed += len(batch)
        self._cost += sum(entry.cost for entry in batch)

    @property
    def stats(self) -> BatchStats:
        """What was done so far."""
        batches = max(1, self._batches)
        return BatchStats(
            total_submitted=self._submitted,
            total_completed=self._completed,
            total_batches=self._batches,
            total_batch_cost=self._cost,
            avg_batch_size=self._records / batches,
            avg_batch_cost=self._cost / batches,
            busy_time_s=self._busy_s,
            idle_time_s=self._idle_s,
        )


def _fail(batch: list[_Entry], failure: Exception) -> None:
    for entry in batch:
        if not entry.result.done():
            entry.result.set_exception(failure)


def _ends_us(error: BaseException) -> bool:
    """True for an exit, and for a cancellation that meant the batcher and not one batch."""
    task = asyncio.current_task()
    return not isinstance(error, asyncio.CancelledError) or (
        task is not None and task.cancelling() > 0
    )


def _as_failure(error: BaseException) -> Exception:
    """What a future may hold: it refuses StopIteration, and cancellation is another matter."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(f"the batch function ended with {error!r}")


def _check(**numbers: int) -> None:
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    if numbers["min_batch_size"] > numbers["max_batch_size"]:
        raise ValueError("min_batch_size must not be above max_batch_size")
