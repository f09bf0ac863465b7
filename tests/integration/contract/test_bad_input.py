"""Wrong calls are refused before anything starts, and name what is wrong."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import flyte_ray as flyte
from flyte_ray import errors
from flyte_ray.client.run import Run
from tests.integration.contract.house import House
from tests.integration.contract.tasks import calls, failing


@pytest.fixture
def started_nothing(house: House):  # type: ignore[no-untyped-def]
    before = {record.name for record in house.catalog().runs(None)}
    yield
    assert {record.name for record in house.catalog().runs(None)} == before


@pytest.mark.usefixtures("started_nothing")
class TestArguments:
    def test_of_a_wrong_type(self, house: House) -> None:
        with pytest.raises(TypeError, match=r"double.*'x' expects int, got str \('three'\)"):
            house.start(calls.double, "three")

    def test_that_the_task_does_not_have(self, house: House) -> None:
        with pytest.raises(TypeError, match=r"no parameter 'xx'.*'x'"):
            house.start(calls.double, xx=3)

    def test_that_are_missing(self, house: House) -> None:
        with pytest.raises(TypeError, match="misses a value for 'x'"):
            house.start(calls.double)

    def test_that_are_too_many_or_doubled(self, house: House) -> None:
        with pytest.raises(TypeError, match="takes 1 positional"):
            house.start(calls.double, 1, 2)
        with pytest.raises(TypeError, match="'x' twice"):
            house.start(calls.double, 1, x=2)

    def test_that_cannot_be_stored(self, house: House) -> None:
        with pytest.raises(errors.UnserializableInputError, match="'lock'") as caught:
            house.start(failing.takes_a_lock, threading.Lock())
        assert caught.value.parameter == "lock"
        assert len(str(caught.value)) > 60, "it names the remedy"

    def test_that_no_rerun_could_take(self, house: House) -> None:
        with pytest.raises(errors.RunNotFoundError, match="no-such-run"):
            house.runner().rerun("no-such-run")


def plain() -> None:
    """A function that somebody forgot to decorate."""


@pytest.mark.usefixtures("started_nothing")
@pytest.mark.parametrize("wrong", [plain, 7, None, calls.env, calls.triple(3)])
def test_what_is_no_task(house: House, wrong: object) -> None:
    with pytest.raises(TypeError, match=r"env\.task"):
        house.start(wrong)


def test_a_coroutine_is_no_task(house: House) -> None:
    coroutine = calls.double(1)
    with pytest.raises(TypeError, match="not the result of calling it"):
        house.start(coroutine)
    coroutine.close()


def test_an_unknown_run_is_answered_with_its_neighbours(house: House, marks: str) -> None:
    name = f"nearby-{Path(marks).name}"
    house.runner(name=name).run(calls.double, 1).wait(quiet=True)
    with pytest.raises(errors.RunNotFoundError, match=name):
        Run.get(name + "x")
    for impossible in ("../etc", "", "a b"):
        with pytest.raises(errors.RunNotFoundError):
            Run.get(impossible)


@pytest.mark.usefixtures("started_nothing")
@pytest.mark.parametrize("name", ["", "-x", "a/b", "a b", "x" * 65, "ü"])
def test_a_name_that_cannot_be_a_name(house: House, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a run's name"):
        house.runner(name=name).run(calls.double, 1)


@pytest.mark.parametrize("mode", ["local", "remote"])
def test_a_store_that_cannot_be_written(mode: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    flyte.init(store=str(file / "store"), mode=mode)
    with pytest.raises(errors.StoreUnwritableError, match=str(file)):
        flyte.with_runcontext(mode).run(calls.double, 1)


def test_settings_that_make_no_sense(house: House) -> None:
    with pytest.raises(errors.ConfigurationError, match="mode"):
        flyte.init(mode="sideways")
    with pytest.raises(errors.InitializationError, match="nowhere"):
        flyte.init_from_config("/nowhere/config.yaml")
