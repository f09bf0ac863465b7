"""What a caller does with its attempts and the runners that come: no Ray, pipes for lines."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import pytest
from ray import exceptions as rx

from flyte_ray.runtime.dispatch import GIVEN_TOGETHER, UNREACHABLE, Dispatch
from flyte_ray.runtime.runner_link import Lost, Runner, WorkItem
from tests.unit.engine.scenes import attempt

PATIENCE_S = 10.0


@dataclass
class Hired:
    """A runner that was asked for, played by the test."""

    runner: Runner
    attend: Callable[[Runner], None]
    tell: Callable[[Any], None]
    line: Connection = field(init=False)

    def come(self) -> Hired:
        self.runner.line, self.line = Pipe()
        threading.Thread(target=self.attend, args=(self.runner,), daemon=True).start()
        return self

    def hear(self) -> Any:
        """The next frame that the caller sends."""
        assert self.line.poll(PATIENCE_S), "the caller said nothing"
        return pickle.loads(self.line.recv_bytes())

    def hear_work(self) -> list[int]:
        frame = self.hear()
        if frame[0] == "shared":
            frame = self.hear()
        assert frame[0] == "run"
        return [number for number, _, _ in frame[1]]

    def say(self, *frame: Any) -> None:
        self.line.send_bytes(pickle.dumps(frame))

    def finish(self, *numbers: int, seconds: float = 1e-4) -> None:
        self.say("done", [(number, b"done %d" % number, seconds) for number in numbers])

    def die(self, error: Exception) -> None:
        self.line.close()
        self.tell(Lost(error))


class Agency:
    """The `Hirer` port: remembers who was asked for."""

    def __init__(self, capacity: int = 2) -> None:
        self.hired: list[Hired] = []
        self.killed: list[Any] = []
        self.carried: list[tuple[WorkItem, Callable[[Any], None]]] = []
        self._capacity = capacity

    def hire(
        self, runner: Runner, attend: Callable[[Runner], None], tell: Callable[[Any], None]
    ) -> bool:
        runner.ref = f"ref {len(self.hired)}"
        self.hired.append(Hired(runner, attend, tell))
        return True

    def carry(self, item: WorkItem, tell: Callable[[Any], None]) -> Any:
        self.carried.append((item, tell))
        return f"carried {len(self.carried)}"

    def capacity(self) -> int:
        return self._capacity

    def grow(self, capacity: int) -> None:
        self._capacity = capacity

    def kill(self, runner: Runner) -> None:
        self.killed.append(runner.ref)

    def kill_carried(self, ref: Any) -> None:
        self.killed.append(ref)

    def wanted(self) -> None:
        pass


def play(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scene, PATIENCE_S))


async def beside(work: Callable[[], Any]) -> Any:
    """The runner's part of a scene, while the loop goes on."""
    return await asyncio.to_thread(work)


async def submit(dispatch: Dispatch, count: int) -> list[WorkItem]:
    """Submit in one turn of the loop; back in the next one, when they are given out."""
    items = [dispatch.submit(attempt(), (b"run", b"options"), b"attempt") for _ in range(count)]
    await asyncio.sleep(0)
    return items


async def until_given_out(dispatch: Dispatch, count: int) -> None:
    await submit(dispatch, count)


def test_a_chain_of_calls_is_worked_off_by_one_runner() -> None:
    async def scene() -> None:
        agency = Agency()
        dispatch = Dispatch(agency)
        for step in range(3):
            (item,) = await submit(dispatch, 1)
            runner = agency.hired[0] if step else agency.hired[0].come()
            (number,) = await beside(runner.hear_work)
            runner.finish(number)
            assert await item.ended == b"done %d" % number
        assert len(agency.hired) == 1

    play(scene())


def test_short_attempts_are_given_out_several_at_a_time() -> None:
    async def scene() -> None:
        agency = Agency(capacity=1)
        dispatch = Dispatch(agency)
        items = await submit(dispatch, 200)
        runner = agency.hired[0].come()
        batches: list[int] = []
        while sum(batches) < 200:
            numbers = await beside(runner.hear_work)
            batches.append(len(numbers))
            runner.finish(*numbers)
        assert batches[0] == 1, "nobody knows yet that they are short"
        assert max(batches) > 20
        assert len(await asyncio.gather(*[item.ended for item in items])) == 200

    play(scene())


def test_long_attempts_are_given_out_one_at_a_time() -> None:
    async def scene() -> None:
        agency = Agency(capacity=1)
        dispatch = Dispatch(agency)
        await submit(dispatch, 4)
        runner = agency.hired[0].come()
        for _ in range(4):
            numbers = await beside(runner.hear_work)
            assert len(numbers) == 1
            runner.finish(*numbers, seconds=0.5)

    play(scene())


def test_as_many_runners_are_asked_for_as_the_cluster_carries() -> None:
    async def scene() -> None:
        agency = Agency(capacity=5)
        dispatch = Dispatch(agency)
        await submit(dispatch, 20)
        while len(agency.hired) < 5:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        assert len(agency.hired) == 5

    play(scene())


def test_a_runner_that_waits_for_children_makes_room_for_another() -> None:
    async def scene() -> None:
        agency = Agency(capacity=1)
        dispatch = Dispatch(agency)
        await submit(dispatch, 2)
        waiting = agency.hired[0].come()
        await beside(waiting.hear_work)
        waiting.say("waiting")
        while len(agency.hired) < 2:
            await asyncio.sleep(0.001)
        assert await beside(agency.hired[1].come().hear_work)

    play(scene())


def test_a_death_is_charged_to_the_attempt_it_was_at_and_the_rest_goes_to_another() -> None:
    async def scene() -> None:
        agency = Agency(capacity=1)
        dispatch = Dispatch(agency)
        await submit(dispatch, 1)
        runner = agency.hired[0].come()
        (number,) = await beside(runner.hear_work)
        rest = await submit(dispatch, 10)
        runner.finish(number)
        given = await beside(runner.hear_work)
        assert len(given) > 1
        runner.die(rx.WorkerCrashedError())
        with pytest.raises(rx.WorkerCrashedError):
            await rest[0].ended
        while len(agency.hired) < 2:
            await asyncio.sleep(0.001)
        other, left = agency.hired[1].come(), 9
        while left:
            numbers = await beside(other.hear_work)
            other.finish(*numbers)
            left -= len(numbers)
        assert len(await asyncio.gather(*[item.ended for item in rest[1:]])) == 9

    play(scene())


def test_what_is_given_back_goes_to_whoever_is_free() -> None:
    async def scene() -> None:
        agency = Agency(capacity=2)
        dispatch = Dispatch(agency)
        await submit(dispatch, 2)
        slow = agency.hired[0].come()
        (_,) = await beside(slow.hear_work)
        quick = agency.hired[1].come()
        (number,) = await beside(quick.hear_work)
        slow.say("back", [number + 1000])  # of something that was withdrawn meanwhile
        quick.finish(number)
        items = await submit(dispatch, 1)
        (number,) = await beside(quick.hear_work)
        quick.say("back", [number])
        (again,) = await beside(quick.hear_work)
        quick.finish(again)
        assert await items[0].ended == b"done %d" % again

    play(scene())


def test_a_runner_without_work_is_let_go_when_it_asks() -> None:
    async def scene() -> None:
        agency = Agency()
        dispatch = Dispatch(agency)
        await submit(dispatch, 1)
        runner = agency.hired[0].come()
        runner.finish(*await beside(runner.hear_work))
        runner.say("idle")
        assert await beside(runner.hear) == ("end",)
        await submit(dispatch, 1)
        assert len(agency.hired) == 2, "nothing is sent to one that leaves"

    play(scene())


def test_free_runners_go_when_the_callers_attempt_ends() -> None:
    async def scene() -> None:
        agency = Agency()
        dispatch = Dispatch(agency)
        (item,) = await submit(dispatch, 1)
        runner = agency.hired[0].come()
        runner.finish(*await beside(runner.hear_work))
        await item.ended
        dispatch.retire()
        assert await beside(runner.hear) == ("end",)

    play(scene())


def test_a_second_event_loop_is_given_as_many_runners_as_the_first() -> None:
    agency = Agency(capacity=5)
    dispatch = Dispatch(agency)
    play(until_given_out(dispatch, 3))  # ends before more runners are asked for

    async def scene() -> None:
        await submit(dispatch, 20)
        while len(agency.hired) < 5:
            await asyncio.sleep(0.001)

    play(scene())


def test_an_event_loop_that_ends_before_its_next_turn_holds_no_other_up() -> None:
    agency = Agency()
    dispatch = Dispatch(agency)
    loop = asyncio.new_event_loop()

    async def submit_and_stop() -> None:
        dispatch.submit(attempt(), (b"run", b"options"), b"attempt")
        loop.stop()

    task = loop.create_task(submit_and_stop())
    loop.run_forever()
    loop.close()
    assert task.done() and not agency.hired

    play(until_given_out(dispatch, 1))
    assert len(agency.hired) == 2, "one for each"


def test_an_attempt_that_waits_is_withdrawn_at_once() -> None:
    async def scene() -> None:
        dispatch = Dispatch(Agency())
        (item,) = await submit(dispatch, 1)
        dispatch.withdraw(item)
        with pytest.raises(rx.TaskCancelledError):
            await item.ended

    play(scene())


def test_a_runner_is_told_to_stop_its_attempt() -> None:
    async def scene() -> None:
        agency = Agency()
        dispatch = Dispatch(agency)
        (item,) = await submit(dispatch, 1)
        runner = agency.hired[0].come()
        (number,) = await beside(runner.hear_work)
        dispatch.withdraw(item)
        assert await beside(runner.hear) == ("cancel", number)
        runner.finish(number)
        assert await item.ended == b"done %d" % number, "what it still said of it"
        dispatch.kill(item)
        assert agency.killed == ["ref 0"], "for who will not listen"

    play(scene())


def test_where_nobody_can_knock_every_attempt_gets_a_ray_task() -> None:
    async def scene() -> None:
        agency = Agency()
        dispatch = Dispatch(agency)
        (first,) = await submit(dispatch, 1)
        agency.hired[0].tell(UNREACHABLE)
        (second,) = await submit(dispatch, 1)
        assert [item for item, _ in agency.carried] == [first, second]
        for number, (_, tell) in enumerate(list(agency.carried)):
            tell([(0, b"outcome %d" % number)])
        assert await first.ended == b"outcome 0"
        assert await second.ended == b"outcome 1"

    play(scene())


def test_a_runner_whose_node_vanishes_without_a_word_on_the_line_is_given_up() -> None:
    async def scene() -> None:
        agency = Agency()
        dispatch = Dispatch(agency)
        (item,) = await submit(dispatch, 1)
        runner = agency.hired[0].come()
        await beside(runner.hear_work)
        runner.tell(Lost(rx.NodeDiedError("no power")))  # its end of the line stays open
        with pytest.raises(rx.NodeDiedError):
            await item.ended
        (again,) = await submit(dispatch, 1)
        (number,) = await beside(agency.hired[-1].come().hear_work)
        agency.hired[-1].finish(number)
        assert await again.ended == b"done %d" % number

    play(scene())


def test_what_a_runner_said_just_before_it_died_counts() -> None:
    async def scene() -> None:
        agency = Agency()
        dispatch = Dispatch(agency)
        (item,) = await submit(dispatch, 1)
        runner = agency.hired[0].come()
        (number,) = await beside(runner.hear_work)
        runner.tell(Lost(rx.WorkerCrashedError()))
        runner.finish(number)
        assert await item.ended == b"done %d" % number

    play(scene())


async def parent_and_child_at(agency: Agency, dispatch: Dispatch) -> tuple[Hired, list[WorkItem]]:
    """A replica of one slot whose first attempt lent it to the second; a third one waits."""
    items = await submit(dispatch, 3)
    replica = agency.hired[0].come()
    (parent,) = await beside(replica.hear_work)
    replica.say("lent", parent)
    assert await beside(replica.hear_work) == [items[1].number]
    return replica, items


def test_a_replica_that_dies_takes_along_who_lent_a_slot_and_who_works_in_it() -> None:
    async def scene() -> None:
        agency = Agency(capacity=1)
        replica, items = await parent_and_child_at(agency, Dispatch(agency, keeps=True))
        replica.die(rx.ActorDiedError())
        for item in items[:2]:
            with pytest.raises(rx.ActorDiedError):
                await item.ended
        replica = agency.hired[1].come()
        assert await beside(replica.hear_work) == [items[2].number]

    play(scene())


def test_an_attempt_in_a_slot_that_another_one_lent_is_told_to_stop() -> None:
    async def scene() -> None:
        agency = Agency(capacity=1)
        dispatch = Dispatch(agency, keeps=True)
        replica, (_, child, _) = await parent_and_child_at(agency, dispatch)
        dispatch.withdraw(child)
        assert await beside(replica.hear) == ("cancel", child.number)
        replica.finish(child.number)
        assert await child.ended == b"done %d" % child.number, "what it still said of it"

    play(scene())


def test_an_environment_that_cannot_be_built_fails_all_that_wait_for_it() -> None:
    async def scene() -> None:
        agency = Agency()
        dispatch = Dispatch(agency)
        items = await submit(dispatch, 3)
        agency.hired[0].tell(Lost(rx.RuntimeEnvSetupError("no such package")))
        for item in items:
            with pytest.raises(rx.RuntimeEnvSetupError):
                await item.ended

    play(scene())


def test_what_a_broken_line_swallowed_comes_with_the_ray_calls_value() -> None:
    async def scene() -> None:
        agency = Agency()
        dispatch = Dispatch(agency)
        (item,) = await submit(dispatch, 1)
        runner = agency.hired[0].come()
        (number,) = await beside(runner.hear_work)
        runner.line.close()
        runner.tell([(number, b"said at last")])
        assert await item.ended == b"said at last"

    play(scene())


def test_a_replica_that_comes_late_is_given_all_that_it_has_slots_for() -> None:
    async def scene() -> None:
        agency = Agency(capacity=2)
        dispatch = Dispatch(agency, keeps=True)
        big = b"x" * 1000
        for _ in range(500):
            dispatch.submit(attempt(), (b"run", b"options"), big)
        await asyncio.sleep(0)
        replica = agency.hired[0]
        replica.runner.slots = 1000
        replica.come()
        numbers: list[int] = []
        while len(numbers) < 500:
            numbers += await beside(replica.hear_work)
        assert len(replica.runner.in_hand) == 500

    play(scene())


def test_a_large_fan_out_is_begun_before_its_turn_of_the_loop_ends() -> None:
    async def scene() -> None:
        agency = Agency(capacity=1)
        dispatch = Dispatch(agency, keeps=True)
        (first,) = await submit(dispatch, 1)
        replica = agency.hired[0]
        replica.runner.slots = 10_000
        replica.come()
        (number,) = await beside(replica.hear_work)
        replica.finish(number)
        await first.ended
        items = [dispatch.submit(attempt(), (b"run", b"options"), b"x") for _ in range(600)]
        begun = replica.hear_work() + replica.hear_work()  # on this very turn
        assert begun == [item.number for item in items[: 2 * GIVEN_TOGETHER]]
        assert await beside(replica.hear_work) == [item.number for item in items[len(begun) :]]

    play(scene())


def test_calls_go_to_all_replicas_even_where_one_has_slots_for_all() -> None:
    async def scene() -> None:
        agency = Agency(capacity=1)
        dispatch = Dispatch(agency, keeps=True)
        await submit(dispatch, 10)
        first = agency.hired[0]
        first.runner.slots = 1000
        first.come()
        assert len(await beside(first.hear_work)) == 10
        agency.grow(3)
        dispatch.more()
        _, second, third = agency.hired
        for replica in (second, third):
            replica.runner.slots = 1000
            replica.come()
        await submit(dispatch, 40)
        shares = [len(await beside(each.hear_work)) for each in (first, second, third)]
        assert shares[0] < min(shares[1:]), "it has ten in hand already"
        assert sum(shares) == 40

    play(scene())


def test_no_more_replicas_are_dealt_with_than_there_are_calls() -> None:
    async def scene() -> None:
        agency = Agency(capacity=1)
        dispatch = Dispatch(agency, keeps=True)
        await submit(dispatch, 2)
        agency.hired[0].runner.slots = 1000
        await beside(agency.hired[0].come().hear_work)
        agency.grow(8)
        dispatch.more()
        dispatch.more()
        assert len(agency.hired) == 2

    play(scene())
