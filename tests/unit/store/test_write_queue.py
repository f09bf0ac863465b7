from __future__ import annotations

from flyte_ray.core.model import EventKind
from flyte_ray.store.pacing import Pace
from flyte_ray.store.write_queue import Ack, WriteQueue
from tests.unit.store.books import row, success

PACE = Pace(most_events=3, most_bytes=10_000)


def pushed(queue: WriteQueue, *counts: int) -> list[Ack]:
    acks = []
    for number, count in enumerate(counts):
        acks.append(Ack())
        for part in queue.split([success(f"a{number}")] * count, acks[-1], 0.0):
            queue.push(part)
    return acks


def test_a_batch_takes_whole_entries_in_order_until_it_is_large_enough() -> None:
    queue = WriteQueue(PACE)
    acks = pushed(queue, 2, 2, 1)
    batch = queue.take(7)
    assert batch.slot == 7
    assert [event.action_id for event in batch.events] == ["a0", "a0", "a1", "a1"]
    assert batch.acks == acks[:2]
    assert [event.action_id for event in queue.take(8).events] == ["a2"]
    assert not queue
    assert not queue.is_awaited


def test_events_that_fit_no_segment_are_split_and_acknowledged_together() -> None:
    queue = WriteQueue(PACE)
    [ack] = pushed(queue, 7)
    batches = [queue.take(slot) for slot in range(3)]
    assert [len(batch.events) for batch in batches] == [3, 3, 1]
    assert [ack.part_stored() for _ in batches] == [False, False, True]


def test_a_large_value_closes_its_segment() -> None:
    queue = WriteQueue(PACE)
    large = row(EventKind.SUCCEEDED, outputs="x" * 20_000)
    for part in queue.split([large, success("a2")], None, 0.0):
        queue.push(part)
    assert [len(queue.take(slot).events) for slot in range(2)] == [1, 1]


def test_a_caller_is_told_of_failure_once() -> None:
    queue = WriteQueue(PACE)
    [ack] = pushed(queue, 7)
    assert [ack.part_failed(), ack.part_failed()] == [True, False]
    assert not ack.part_stored()


def test_a_dropped_queue_tells_who_waited() -> None:
    queue = WriteQueue(PACE)
    acks = pushed(queue, 1, 1)
    queue.push(queue.split([success("n")], None, 0.0)[0])
    assert queue.drop() == acks
    assert not queue


def test_nobody_can_cancel_a_write_by_going_away() -> None:
    assert not Ack().future.cancel()
