"""Exceptions to plain values and back: types, texts, causes, and authors who misbehave."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import subprocess
import threading
import traceback
import types
import urllib.error
from typing import Any, NoReturn

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_ray import errors
from flyte_ray.core.failure import (
    TEXT_LIMIT,
    ErrorInfo,
    failure_of,
    from_exception,
    to_exception,
)


class Plain(Exception):
    pass


class OtherArguments(Exception):
    """Pickles, but does not come back: the constructor wants two arguments."""

    def __init__(self, path: str, line: int) -> None:
        super().__init__(f"{path}:{line}")
        self.path = path
        self.line = line


class Doubling(Exception):
    """Comes back with another text."""

    def __init__(self, what: str) -> None:
        super().__init__(f"bad {what}")


class Keyword(Exception):
    def __init__(self, *, reason: str) -> None:
        self.reason = reason

    def __str__(self) -> str:
        return f"because {self.reason}"


class HoldsLock(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()
        self.number = 7


class LockAsArgument(Exception):
    pass


class Slotted(Exception):
    __slots__ = ("depth",)

    def __init__(self, text: str, depth: int) -> None:
        super().__init__(text)
        self.depth = depth


class OwnNew(Exception):
    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            raise TypeError("needs keywords")
        return super().__new__(cls, *args)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(*kwargs.values())


class BadReduce(Exception):
    def __reduce__(self) -> NoReturn:
        raise SystemExit(3)


class BadStr(Exception):
    def __str__(self) -> NoReturn:
        raise ZeroDivisionError("no text")


class WrongStr(Exception):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]  # noqa: PLE0307


class BadSetattr(Exception):
    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("frozen")


class Meta(type):
    pass


class WithMeta(Exception, metaclass=Meta):
    pass


class RefusesSubclasses(Exception):
    def __init_subclass__(cls) -> NoReturn:
        raise TypeError("final")


class Unhashable(Exception):
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return False


class OwnOSError(OSError):
    def __init__(self, host: str) -> None:
        super().__init__(111, f"cannot reach {host}")
        self.host = host


class OwnGroup(ExceptionGroup[Exception]):
    def __new__(cls, errors: list[Exception], label: str) -> OwnGroup:
        self = super().__new__(cls, f"group {label}", errors)
        self.label = label
        return self


class AuthorsFinal(errors.NonRecoverableError):
    pass


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def decode_error() -> Exception:
    try:
        b"ab\xff".decode("utf-8")
    except UnicodeDecodeError as error:
        return error
    raise AssertionError


def syntax_error() -> Exception:
    try:
        compile("x = = 1", "job.py", "exec")
    except SyntaxError as error:
        return error
    raise AssertionError


def attribute_error() -> Exception:
    try:
        object().missing  # type: ignore[attr-defined]  # noqa: B018
    except AttributeError as error:
        return error
    raise AssertionError


def import_error() -> Exception:
    try:
        import no_such_module_anywhere  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        return error
    raise AssertionError


ORIGINALS: list[Exception] = [
    ValueError("x"),
    ValueError(),
    ValueError("several", 3, None),
    KeyError("missing key"),
    IndexError("list index out of range"),
    ZeroDivisionError("division by zero"),
    MemoryError("array too large"),
    RecursionError("maximum recursion depth exceeded"),
    TimeoutError("waited"),
    AssertionError(),
    NotImplementedError("later"),
    UserWarning("careful"),
    FileNotFoundError(2, "No such file or directory", "/data/in.csv"),
    OSError(28, "No space left on device"),
    OSError("only a text"),
    ConnectionResetError(104, "reset by peer"),
    decode_error(),
    syntax_error(),
    attribute_error(),
    import_error(),
    subprocess.CalledProcessError(2, ["make"], output=b"no rule"),
    json.JSONDecodeError("bad", "{", 1),
    urllib.error.HTTPError("http://x.example", 404, "not found", None, None),  # type: ignore[arg-type]
    ExceptionGroup("several", [ValueError("a"), KeyError("b")]),
    Plain("plain"),
    OtherArguments("a.csv", 3),
    Doubling("luck"),
    Keyword(reason="rain"),
    HoldsLock("held"),
    LockAsArgument(threading.Lock(), "text"),
    Slotted("deep", 4),
    OwnNew(first="one"),
    BadReduce("reduce"),
    WithMeta("meta"),
    Unhashable("hash"),
    OwnOSError("db"),
    OwnGroup([ValueError("a")], "night"),
]


@pytest.mark.parametrize("original", ORIGINALS, ids=lambda e: type(e).__name__)
def test_user_error_is_its_own_type_and_flytes(original: Exception) -> None:
    seen = to_exception(from_exception(raised(original)))

    assert isinstance(seen, type(original))
    assert isinstance(seen, errors.RuntimeUserError)
    assert (seen.code, seen.kind) == (type(original).__name__, "user")
    assert type(seen).__name__ == type(original).__name__


@pytest.mark.parametrize(
    "original",
    [e for e in ORIGINALS if not isinstance(e, LockAsArgument)],
    ids=lambda e: type(e).__name__,
)
def test_user_error_keeps_its_text(original: Exception) -> None:
    info = from_exception(raised(original))
    assert info.message == str(original)
    assert str(to_exception(info)) == str(original)


@pytest.mark.parametrize("original", ORIGINALS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize(
    "travel",
    [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deepcopy"],
)
def test_what_the_parent_sees_travels_on(original: Exception, travel: Any) -> None:
    seen = to_exception(from_exception(raised(original)))
    seen.add_note("seen by the parent")

    arrived = travel(seen)

    assert type(arrived) is type(seen)
    assert (arrived.code, str(arrived)) == (seen.code, str(seen))
    assert "seen by the parent" in arrived.__notes__


@pytest.mark.parametrize("original", ORIGINALS, ids=lambda e: type(e).__name__)
def test_cause_is_the_original_and_its_cause_the_far_traceback(original: Exception) -> None:
    info = from_exception(raised(original))
    seen = to_exception(info)

    assert type(seen.__cause__) is type(original)
    far = seen.__cause__.__cause__
    assert isinstance(far, errors.RemoteTraceback)
    assert "in raised" in str(far)


@pytest.mark.parametrize("original", ORIGINALS, ids=lambda e: type(e).__name__)
def test_error_info_survives_json(original: Exception) -> None:
    info = from_exception(raised(original))
    assert ErrorInfo.from_dict(json.loads(json.dumps(info.to_dict()))) == info


@pytest.mark.parametrize("original", ORIGINALS, ids=lambda e: type(e).__name__)
def test_error_passes_through_three_parents_unchanged(original: Exception) -> None:
    first = from_exception(raised(original))
    info = first
    for _ in range(3):
        info = from_exception(raised(to_exception(info)))
    seen = to_exception(info)

    assert isinstance(seen, type(original))
    assert (info.code, info.message, info.pickled) == (first.code, first.message, first.pickled)
    assert type(seen) is type(to_exception(first))


def test_attributes_of_builtin_errors_are_kept() -> None:
    missing: Any = to_exception(from_exception(FileNotFoundError(2, "no such file", "/data/x")))
    undecodable: Any = to_exception(from_exception(decode_error()))
    key: Any = to_exception(from_exception(KeyError("k")))

    assert (missing.errno, missing.strerror, missing.filename) == (2, "no such file", "/data/x")
    assert (undecodable.start, undecodable.end, undecodable.encoding) == (2, 3, "utf-8")
    assert key.args == ("k",)
    assert str(key) == "'k'"


def test_attributes_of_authors_errors_are_kept() -> None:
    other: Any = to_exception(from_exception(OtherArguments("a.csv", 3)))
    slotted: Any = to_exception(from_exception(Slotted("deep", 4)))
    network: Any = to_exception(from_exception(OwnOSError("db")))

    assert (other.path, other.line) == ("a.csv", 3)
    assert slotted.depth == 4
    assert (network.host, network.errno) == ("db", 111)


def test_unpicklable_attributes_stay_behind_alone() -> None:
    seen: Any = to_exception(from_exception(HoldsLock("held")))
    assert seen.number == 7
    assert not hasattr(seen, "lock")


def test_parts_of_an_exception_group_can_be_caught_one_by_one() -> None:
    group = ExceptionGroup("several", [ValueError("a"), KeyError("b")])
    caught: list[str] = []
    try:
        raise to_exception(from_exception(group))
    except* ValueError as part:
        caught.append(f"value {len(part.exceptions)}")
    except* KeyError as part:
        caught.append(f"key {len(part.exceptions)}")
    assert caught == ["value 1", "key 1"]


def test_group_of_childrens_failures_travels() -> None:
    children = [to_exception(from_exception(ValueError(text))) for text in "ab"]
    seen: Any = to_exception(from_exception(raised(ExceptionGroup("gathered", children))))

    assert [str(each) for each in seen.exceptions] == ["a", "b"]
    assert all(isinstance(each, ValueError) for each in seen.exceptions)


def test_flytes_code_wins_over_an_authors_own_which_the_cause_keeps() -> None:
    original = urllib.error.HTTPError("http://x.example", 404, "gone", None, None)  # type: ignore[arg-type]
    seen: Any = to_exception(from_exception(original))
    assert seen.code == "HTTPError"
    assert seen.__cause__.code == 404


def test_combined_class_is_made_once_per_type() -> None:
    assert type(to_exception(from_exception(Plain("a")))) is type(
        to_exception(from_exception(Plain("b")))
    )


@pytest.mark.parametrize(
    ("original", "code"),
    [
        (SystemExit(3), "SystemExit"),
        (SystemExit(), "SystemExit"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (BaseExceptionGroup("g", [SystemExit(1)]), "BaseExceptionGroup"),
        (StopIteration(5), "StopIteration"),
        (StopAsyncIteration(), "StopAsyncIteration"),
    ],
)
def test_errors_with_a_meaning_for_the_interpreter_become_plain_user_errors(
    original: BaseException, code: str
) -> None:
    seen = to_exception(from_exception(raised(original)))

    assert type(seen) is errors.RuntimeUserError
    assert seen.code == code
    assert type(seen.__cause__) is type(original)


def test_sys_exit_says_what_happened() -> None:
    assert from_exception(SystemExit(3)).message == "the task called sys.exit(3)"


@pytest.mark.parametrize("original", [RefusesSubclasses("r")], ids=lambda e: type(e).__name__)
def test_types_that_do_not_combine_fall_back(original: Exception) -> None:
    seen = to_exception(from_exception(raised(original)))
    assert type(seen) is errors.RuntimeUserError
    assert (seen.code, str(seen)) == (type(original).__name__, str(original))


@pytest.mark.parametrize("original", [BadStr("a"), WrongStr("b"), BadSetattr("c")])
def test_misbehaving_exceptions_still_tell_their_class(original: Exception) -> None:
    info = from_exception(raised(original))
    seen = to_exception(info)

    assert isinstance(seen, errors.RuntimeUserError)
    assert seen.code == type(original).__name__
    assert "in raised" in info.traceback


def test_class_that_cannot_be_found_again_leaves_code_and_text() -> None:
    class Local(Exception):
        pass

    info = from_exception(raised(Local("here")))
    seen = to_exception(info)

    assert info.pickled is None
    assert type(seen) is errors.RuntimeUserError
    assert (seen.code, str(seen)) == ("Local", "here")
    assert isinstance(seen.__cause__, errors.RemoteTraceback)


def test_classes_of_main_can_travel_by_value() -> None:
    class Local(Exception):
        def __init__(self, a: int, b: int) -> None:
            super().__init__(a + b)

    seen = to_exception(from_exception(raised(Local(1, 2)), dumps=cloudpickle.dumps))
    assert isinstance(seen, Local)
    assert str(seen) == "3"


def test_class_lost_on_the_way_leaves_code_and_text(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("job_module")
    exec("class Gone(Exception): pass", module.__dict__)
    monkeypatch.setitem(__import__("sys").modules, "job_module", module)
    info = from_exception(module.Gone("bye"))
    monkeypatch.delitem(__import__("sys").modules, "job_module")

    seen = to_exception(info)

    assert info.pickled is not None
    assert info.type_name == "job_module.Gone"
    assert type(seen) is errors.RuntimeUserError
    assert (seen.code, str(seen)) == ("Gone", "bye")


def test_huge_exception_leaves_its_attributes_behind() -> None:
    error = Plain("big")
    error.table = bytes(1_000_000)  # type: ignore[attr-defined]
    info = from_exception(error)

    assert len(info.pickled or b"") < 10_000
    seen = to_exception(info)
    assert isinstance(seen, Plain)
    assert str(seen) == "big"


def test_long_texts_keep_beginning_and_end() -> None:
    message = from_exception(ValueError("a" + "x" * 10**6 + "z")).message
    assert len(message) < TEXT_LIMIT + 100
    assert message[0] == "a"
    assert message[-1] == "z"


def test_texts_are_encodable() -> None:
    info = from_exception(raised(ValueError("name \udcff")))
    assert info.message.encode()
    assert info.traceback.encode()


def test_traceback_includes_the_chain_and_notes() -> None:
    try:
        try:
            raise KeyError("first")
        except KeyError as error:
            error.add_note("look at row 3")
            raise ValueError("second") from error
    except ValueError as error:
        text = from_exception(error).traceback
    assert "first" in text
    assert "look at row 3" in text
    assert "direct cause" in text


def test_printed_traceback_of_the_parent_shows_the_childs_frames() -> None:
    seen = raised(to_exception(from_exception(raised(ValueError("x")))))
    text = "".join(traceback.format_exception(seen))
    assert text.count("in raised") >= 2


FRAMEWORK: list[tuple[errors.FlyteRayError, str, bool]] = [
    (errors.NonRecoverableError("final"), "user", False),
    (errors.NonRecoverableError("final", "Mine"), "user", False),
    (AuthorsFinal("final"), "user", False),
    (errors.CustomError("Mine", "text"), "user", True),
    (errors.RuntimeUserError("Mine", "text", "w"), "user", True),
    (errors.RuntimeDataValidationError("o0", "bad", "env.f"), "user", False),
    (errors.WrongCallError("misses x", task="env.f", parameter="x"), "user", False),
    (errors.OOMError("OOMError", "too much"), "oom", True),
    (errors.MaxRuntimeExceededError("slow"), "timeout", True),
    (errors.MaxQueuedTimeExceededError("slow"), "timeout", True),
    (errors.DeadlineExceededError("slow"), "timeout", False),
    (errors.ActionAbortedError("aborted"), "cancelled", True),
    (errors.RuntimeSystemError("Lost", "gone"), "system", True),
    (errors.StoreError("away", url="gs://b"), "system", True),
    (errors.RunNotFoundError("none", run_name="r"), "usage", False),
    (errors.InfeasibleResourcesError("none", task="env.f"), "usage", False),
    (errors.StoreUnwritableError("none", url="/x"), "usage", False),
    (errors.InitializationError("NoInit", "user", "call init()"), "usage", False),
]


@pytest.mark.parametrize(("error", "kind", "recoverable"), FRAMEWORK)
def test_framework_errors_keep_class_code_and_attributes(
    error: errors.FlyteRayError, kind: str, recoverable: bool
) -> None:
    info = from_exception(raised(error))
    seen: Any = to_exception(info)

    assert (info.kind, info.recoverable) == (kind, recoverable)
    assert type(seen) is type(error)
    assert (seen.code, seen.kind, str(seen)) == (error.code, error.kind, str(error))
    assert vars(error).items() <= vars(seen).items()
    assert isinstance(seen.__cause__, errors.RemoteTraceback)


@pytest.mark.parametrize("error", [e for e, _, _ in FRAMEWORK if type(e) is not AuthorsFinal])
def test_framework_errors_are_rebuilt_from_their_name_alone(error: errors.FlyteRayError) -> None:
    data = from_exception(error).to_dict() | {"pickled": None}
    seen: Any = to_exception(ErrorInfo.from_dict(data))
    assert type(seen) is type(error)
    assert (seen.code, str(seen), seen.message) == (error.code, str(error), error.message)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("user", errors.RuntimeUserError),
        ("system", errors.RuntimeSystemError),
        ("oom", errors.OOMError),
        ("timeout", errors.TaskTimeoutError),
        ("cancelled", errors.ActionAbortedError),
        ("usage", errors.UsageError),
    ],
)
def test_failure_made_by_hand_becomes_the_error_of_its_kind(kind: Any, expected: type) -> None:
    seen = to_exception(ErrorInfo(code="Odd", kind=kind, message="text"))
    assert type(seen) is expected
    assert str(seen) == "text"


def test_failure_made_by_hand_is_found_by_code() -> None:
    info = ErrorInfo(code="MaxRuntimeExceededError", kind="timeout", message="slow")
    assert type(to_exception(info)) is errors.MaxRuntimeExceededError


def test_final_user_error_without_its_class_stays_final() -> None:
    info = ErrorInfo(code="Mine", kind="user", message="no", recoverable=False)
    seen = to_exception(info)
    assert isinstance(seen, errors.NonRecoverableError)
    assert seen.code == "Mine"


@pytest.mark.parametrize("error", [asyncio.CancelledError(), errors.ActionCancelled()])
def test_cancellation_reaches_the_parent_as_aborted(error: BaseException) -> None:
    info = from_exception(raised(error))
    assert info.kind == "cancelled"
    assert type(to_exception(info)) is errors.ActionAbortedError


@pytest.mark.parametrize(
    "child",
    [
        errors.NonRecoverableError("final"),
        errors.DeadlineExceededError("slow"),
        errors.OOMError("OOMError", "much"),
        errors.RuntimeSystemError("Lost", "gone"),
        errors.ActionAbortedError("aborted"),
        ValueError("x"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_childs_failure_let_through_is_the_parents_own_and_worth_a_retry(child: Exception) -> None:
    through = from_exception(raised(to_exception(from_exception(child))))

    assert (through.kind, through.recoverable) == ("user", True)
    assert isinstance(to_exception(through), type(child))


def test_usage_error_let_through_stays_final() -> None:
    child = errors.InfeasibleResourcesError("no such node")
    through = from_exception(to_exception(from_exception(child)))
    assert (through.kind, through.recoverable) == ("usage", False)


def test_failure_is_known_by_its_exception_and_by_no_fresh_one() -> None:
    info = from_exception(ValueError("x"))
    assert failure_of(to_exception(info)) == info
    assert failure_of(ValueError("x")) is None


def test_error_raised_from_a_childs_failure_is_fresh() -> None:
    try:
        try:
            raise to_exception(from_exception(ValueError("x")))
        except ValueError as error:
            raise Plain("could not") from error
    except Plain as error:
        info = from_exception(error)
    assert info.code == "Plain"
    assert "ValueError: x" in info.traceback


def test_seen_exception_can_be_set_on_a_future() -> None:
    async def main() -> None:
        for original in (*ORIGINALS, StopIteration(1), SystemExit(2)):
            future = asyncio.get_running_loop().create_future()
            future.set_exception(to_exception(from_exception(original)))
            with pytest.raises(errors.RuntimeUserError):
                await future

    asyncio.run(main())


def test_unknown_fields_and_kinds_of_later_versions_are_read() -> None:
    info = ErrorInfo.from_dict({"code": "C", "message": "m", "kind": "novel", "extra": 1})
    assert info == ErrorInfo(code="C", message="m", kind="user")


@given(st.lists(st.one_of(st.text(), st.integers(), st.none(), st.binary()), max_size=4))
def test_any_arguments_come_back(args: list[object]) -> None:
    original = Plain(*args)
    seen = to_exception(from_exception(original))
    assert isinstance(seen, Plain)
    assert seen.args == original.args
