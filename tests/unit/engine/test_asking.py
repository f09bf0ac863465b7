"""Questions that must be read for: gathered while another batch is answered."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from flyte_ray.core.calls import Answer, Question
from flyte_ray.core.ids import ActionId
from flyte_ray.core.payload import EncodedValue, Payload
from flyte_ray.engine.asking import Asker
from flyte_ray.engine.presence import WORTH_A_LIST, Presence
from tests.unit.store.stores import DictBlobs


def question(name: str) -> Question:
    return Question(action_id=ActionId(name), task="env.step")


def test_questions_that_come_while_one_is_answered_are_answered_together() -> None:
    batches: list[list[str]] = []
    begun, let_go = threading.Event(), threading.Event()

    def answer(questions: Sequence[Question]) -> list[Answer | None]:
        batches.append([each.action_id for each in questions])
        begun.set()
        assert let_go.wait(30)
        return [None] * len(questions)

    asker = Asker(answer)
    futures = [asker.ask([question("q0")])]
    assert begun.wait(30)
    futures += [asker.ask([question(f"q{n}"), question(f"p{n}")]) for n in range(1, 4)]
    let_go.set()
    assert [len(each.result(30)) for each in futures] == [1, 2, 2, 2]
    assert batches == [["q0"], ["q1", "p1", "q2", "p2", "q3", "p3"]]


def test_an_error_is_told_to_all_who_asked_and_the_next_are_answered() -> None:
    failing = True

    def answer(questions: Sequence[Question]) -> list[Answer | None]:
        if failing:
            raise OSError("the store is away")
        return [None]

    asker = Asker(answer)
    with pytest.raises(OSError, match="away"):
        asker.ask([question("q")]).result(30)
    failing = False
    assert asker.ask([question("q")]).result(30) == [None]


@pytest.mark.parametrize("url", ["memory://test", "gs://bucket"])
def test_values_that_are_gone_are_named(url: str) -> None:
    blobs = DictBlobs(url)
    here = [f"runs/r{n % 2}/values/{n}" for n in range(3 * WORTH_A_LIST)]
    for key in here:
        blobs.put(key, b"x")
    presence = Presence(blobs)
    assert presence.gone([]) == set()
    assert presence.gone([*here, "runs/r0/values/gone", "runs/r9/values/gone"]) == {
        "runs/r0/values/gone",
        "runs/r9/values/gone",
    }


def test_on_a_bucket_a_folder_is_listed_once_and_then_remembered() -> None:
    blobs = DictBlobs("gs://bucket")
    here = [f"runs/r/values/{n}" for n in range(100)]
    for key in here:
        blobs.put(key, b"x")
    presence = Presence(blobs)
    for _ in range(3):
        assert presence.gone(here) == set()
    assert (blobs.calls["list"], blobs.calls["exists"]) == (1, 0)


@pytest.mark.parametrize("url", ["memory://test", "gs://bucket"])
def test_files_and_folders_that_a_run_keeps_are_looked_for_too(url: str) -> None:
    def value(text: str) -> EncodedValue:
        return EncodedValue(codec="file", type="File", digest="d", size_bytes=1, inline=text)

    blobs = DictBlobs(url)
    presence = Presence(blobs)
    outputs = Payload(
        values={
            "file": value(f'{{"path":"{url}/runs/r/files/sha256/ab/x.txt","name":"x"}}'),
            "folder": value(f'[{{"path":"{url}/runs/r/files/folders/f"}}]'),
            "elsewhere": value('{"path":"s3://else/runs/r/files/y"}'),
            "text": value('"about runs/r/files/z"'),
        }
    )
    keys = presence.keys_of(outputs)
    assert keys == ["runs/r/files/sha256/ab/x.txt", "runs/r/files/folders/f"]
    blobs.put("runs/r/files/folders/f/one", b"x")
    assert presence.gone(keys) == {"runs/r/files/sha256/ab/x.txt"}
