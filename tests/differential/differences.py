"""Where this package knowingly differs from Flyte 2.12.1 in local mode, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """One case of one script on which the two sides differ."""

    script: str
    case: str
    theirs: str
    ours: str
    why: str


_LIKE_PYTHON = "calls bind as in Python; a wrong one is a TypeError, and a RuntimeUserError too"
_BOOLS = "True and False mean what they say"
_CLUSTER = "local mode does what Flyte's cluster does"

KNOWN = [
    Difference("amounts", "behavior=True", "'ValueError'", "'auto'", _BOOLS),
    Difference(
        *("amounts", "change them", "None", "'AttributeError'"),
        "tasks and runs hold them: a value does not change under who holds it",
    ),
    Difference("environments", "cache=True", "'TypeError'", "'made'", _BOOLS),
    Difference("decorating", "cache=True", "'ValueError'", "'auto'", _BOOLS),
    Difference("decorating", "cache=False", "'auto'", "'disable'", _BOOLS),
    Difference("caching", "True", "'ValueError'", "'auto'", _BOOLS),
    Difference("caching", "overwrite", "1", "2", _CLUSTER),
    Difference("caching", "own version", "2", "1", _CLUSTER),
    Difference("retrying", "attempt number", "0", "2", _CLUSTER),
    *(
        Difference("binding", case, theirs, "'RuntimeUserError[TypeError]'", _LIKE_PYTHON)
        for case, theirs in {
            "too many": "'ValueError'",
            "missing": "'ValueError'",
            "unknown keyword": "'3'",
            "given twice": "'3'",
            "wrong type": "'TypeError'",
        }.items()
    ),
    *(
        Difference("coercing", case, "'TypeError'", "'RuntimeUserError[TypeError]'", _LIKE_PYTHON)
        for case in ("wrong literal", "nested, wrong", "text for a number")
    ),
    Difference(
        *("calls", "outside, wrong arguments", "'RuntimeUserError[TypeError]'", "'TypeError'"),
        "outside of a run a task is a plain function, and its errors are Python's",
    ),
    Difference(
        *("binding", "int for float", "'TypeError'", "'1.5'"),
        "an int is a float, as for Python's type checkers",
    ),
    Difference(
        *("decorating", "retries=None", "'AttributeError'", "0"),
        "no retries are a strategy too",
    ),
    Difference(
        *("decorating", "timeout='5'", "'made'", "'ValueError'"),
        "what cannot be a timeout is refused at once",
    ),
    Difference(
        *("outputs", "names of a NamedTuple", "{'o0': 1, 'o1': 'x'}", "{'a': 1, 'b': 'x'}"),
        _CLUSTER,
    ),
    Difference(
        *("outputs", "fields between tasks", "'RuntimeUserError[AttributeError]'", "'x'"),
        "a NamedTuple stays one",
    ),
    Difference(
        *(
            "files",
            "a file that is not there",
            "'RuntimeUserError[FileNotFoundError]'",
            "'RuntimeUserError[UnserializableInputError]'",
        ),
        "files are keyed by content, so a missing one is noticed before anything runs",
    ),
    Difference(
        *("outputs", "wrong arity", "'AssertionError'", "'RuntimeUserError[DataValidationError]'"),
        "every result that does not fit is told in one way",
    ),
    Difference(
        *("running", "inside a task", "'RuntimeUserError[AssertionError]'", "6"),
        "bodies do not run on the loop that waits for them",
    ),
    Difference(
        *("running", "unknown mode", "'accepted'", "'ValueError'"),
        "a mode that does not exist is refused",
    ),
]
