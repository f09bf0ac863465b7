"""What fails, how often it is tried again, and what a parent sees of it (item 8, §11, 34)."""

from __future__ import annotations

import json

import pytest

import flyte_ray as flyte
from flyte_ray import errors
from flyte_ray.core.model import ActionPhase
from tests.integration.contract.house import House, only
from tests.integration.contract.tasks import failing
from tests.integration.contract.tasks.marks import count


def test_a_body_that_raises_is_retried_and_knows_its_attempt(house: House, marks: str) -> None:
    run = house.finish(failing.third_time_lucky, marks)
    assert run.outputs()[0] == [3, 2]
    root = only(run, "third_time_lucky")
    assert [a.attempt for a in root.attempts] == [1, 2, 3]
    assert [a.phase for a in root.attempts] == [
        ActionPhase.FAILED,
        ActionPhase.FAILED,
        ActionPhase.SUCCEEDED,
    ]
    assert [a.will_retry for a in root.attempts] == [True, True, False]
    assert json.loads(root.attempts[1].error or "")["message"] == "attempt 1 failed"
    assert [list(run.get_logs(attempt=n)) for n in (1, 2, 3)] == [
        ["attempt 0 speaks"],
        ["attempt 1 speaks"],
        ["attempt 2 speaks"],
    ]


def test_retries_end_and_final_errors_spend_none(house: House, marks: str) -> None:
    assert house.result(failing.sees_failures, marks) == {
        "never": ["KeyError", "KeyError", "'no 2'"],
        "final": ["NonRecoverableError", "NonRecoverableError", "hopeless"],
        "own": ["Hopeless", "Hopeless", "mine"],
    }
    assert [count(marks, name) for name in ("never", "final", "own")] == [2, 1, 1]


def test_the_pause_before_a_retry_is_recorded_as_asked(house: House, marks: str) -> None:
    run = house.finish(failing.third_time_lucky, marks)
    rows = [e for e in house.catalog().events(run.name) if e.kind == "retrying"]
    assert [row.attrs["backoff_s"] for row in rows] == [0.01, 0.01]


def test_a_retried_parent_keeps_done_children_and_tries_failed_ones_again(
    house: House, marks: str
) -> None:
    assert house.result(failing.retries_over_children, marks) == [1, 2]
    assert [count(marks, name) for name in ("good", "parent", "flaky")] == [1, 2, 2]


def test_a_childs_error_is_caught_as_itself_and_as_flytes(house: House) -> None:
    assert house.result(failing.catches) == [
        "at home KeywordOnly home KeywordOnly",
        "at home KeywordOnly user",
        "a 2",
        "home through a parent",
    ]


def test_the_run_raises_what_a_parent_would_see(house: House, marks: str) -> None:
    error = house.error(failing.never_lucky, marks)
    assert isinstance(error, KeyError)
    assert isinstance(error, errors.RuntimeUserError)
    assert (error.code, error.kind) == ("KeyError", "user")
    assert isinstance(house.error(failing.passes_on, "NeedsTwo"), failing.NeedsTwo)


WEIRD = {
    "NeedsTwo": ("NeedsTwo", "a-2"),
    "HoldsALock": ("HoldsALock", "locked"),
    "BadReduce": ("BadReduce", "stay"),
    "BadStr": ("BadStr", "cannot be shown"),
    "LiesWhenLoaded": ("LiesWhenLoaded", "tempting"),
    "Local": ("Local", "inner"),
    "SystemExit": ("SystemExit", "sys.exit(7)"),
    "KeyboardInterrupt": ("KeyboardInterrupt", "typed"),
    "GeneratorExit": ("GeneratorExit", "gone"),
    "StopIteration": ("StopIteration", "over"),
    "StopAsyncIteration": ("StopAsyncIteration", "over"),
    "ExceptionGroup": ("ExceptionGroup", "two (2 sub-exceptions)"),
    "Bare": ("BaseException", "bare"),
}


def test_no_exception_is_too_weird_for_its_parent(house: House) -> None:
    found = house.result(failing.meets, list(WEIRD))
    # Python itself turns this one into a RuntimeError where it leaves a coroutine.
    code, text, *_ = found.pop("StopIteration/async")
    assert (code, text) == ("RuntimeError", "coroutine raised StopIteration")
    assert len(found) == 2 * len(WEIRD) - 1
    for key, (code, text, is_flytes, kinds) in found.items():
        name = key.partition("/")[0]
        assert code == WEIRD[name][0], key
        assert WEIRD[name][1] in text, key
        assert is_flytes == "True", key
        assert "Exception" in kinds, key
    assert "OSError" in found["HoldsALock/async"][3]
    assert "LookupError" in found["Local/sync"][3]


def test_the_houses_own_errors_keep_class_and_code(house: House, marks: str) -> None:
    names = ["OOMError", "CustomError", "MemoryError"]
    assert house.result(failing.meets_ours, marks, names) == [
        ["OOMError", "OOMError", "too large", "True"],
        ["CustomError", "MyCode", "mine", "False"],
        ["MemoryError", "MemoryError", "python's own", "False"],
    ]
    assert [count(marks, name) for name in names] == [2, 2, 2]


def test_sys_exit_in_a_body_is_a_failure_like_others(house: House, marks: str) -> None:
    error = house.error(failing.exits, marks)
    assert isinstance(error, errors.RuntimeUserError)
    assert (error.code, str(error)) == ("SystemExit", "the task called sys.exit('enough')")
    assert count(marks, "exit") == 2


def test_an_unpicklable_result_is_final_and_says_what_to_do(house: House, marks: str) -> None:
    error = house.error(failing.returns_a_lock, marks)
    assert isinstance(error, errors.UnserializableInputError)
    assert "returns_a_lock" in str(error) and "lock" in str(error)
    assert count(marks, "lock") == 1


def test_a_result_that_does_not_come_back_fails_the_caller_not_the_engine(house: House) -> None:
    assert "poison" in house.result(failing.takes_poison)


def test_an_unserialisable_argument_of_a_child_names_it(house: House) -> None:
    text = house.result(failing.hands_a_lock_on)
    assert "takes_a_lock" in text and "'lock'" in text


def test_a_body_that_cancels_itself_fails_like_others(house: House, marks: str) -> None:
    run = house.finish(failing.cancels_itself, marks)
    assert run.phase is ActionPhase.FAILED
    assert count(marks, "cancel") == 2
    assert [list(run.get_logs(attempt=n)) for n in (1, 2)] == [["cancelling 1"], ["cancelling 2"]]
    with pytest.raises(errors.ActionAbortedError):
        run.raise_for_status()


def test_local_run_raises_the_roots_error(local_house: House, marks: str) -> None:
    with pytest.raises(KeyError) as caught:
        flyte.with_runcontext("local").run(failing.never_lucky, marks)
    assert isinstance(caught.value, errors.RuntimeUserError)
