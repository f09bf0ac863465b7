"""`new_condition`, as a task's author meets it."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator

import pytest

import flyte_ray as flyte
from flyte_ray.errors import NotInTaskContextError
from tests.unit.author.fake_controller import in_action


@pytest.fixture
def hook() -> Iterator[tuple[str, list[bytes]]]:
    """An address that keeps what is posted to it."""
    posted: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", posted
    server.shutdown()
    server.server_close()


def test_what_is_asked_reaches_the_controller_and_the_answer_the_task() -> None:
    with in_action() as controller:
        controller.answers["ship"] = True
        condition = flyte.new_condition("ship", prompt="Ship it?", timeout=60)
        assert condition.name == "ship"
        assert condition.wait() is True
    (wish,) = controller.wishes
    assert (wish.prompt, wish.data_type, wish.timeout_s) == ("Ship it?", bool, 60)


def test_it_can_be_awaited() -> None:
    async def body() -> object:
        condition = await flyte.new_condition.aio("n", data_type=int)
        return await condition.wait.aio()

    with in_action() as controller:
        controller.answers["n"] = 7
        assert asyncio.run(body()) == 7


def test_outside_of_a_task_it_can_be_made_but_not_waited_for() -> None:
    condition = flyte.new_condition("ship")
    with pytest.raises(NotInTaskContextError, match="outside of a task"):
        condition.wait()


def test_a_webhook_is_told_how_to_answer(hook: tuple[str, list[bytes]]) -> None:
    url, posted = hook
    webhook = flyte.ConditionWebhook(url, {"text": "say: {callback_uri}", "parts": [1, "x"]})
    with in_action() as controller:
        controller.answers["ship"] = True
        flyte.new_condition("ship", webhook=webhook)
    (body,) = posted
    told = json.loads(body)
    assert told["text"].startswith("say: flyte-ray signal ")
    assert told["text"].endswith(" ship")
    assert told["parts"] == [1, "x"]


def test_a_webhook_that_fails_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    with in_action() as controller:
        controller.answers["ship"] = False
        condition = flyte.new_condition("ship", webhook=flyte.ConditionWebhook("file:///etc"))
        assert condition.wait() is False
    assert "webhook failed" in caplog.text


def test_wrong_questions_are_refused_at_once() -> None:
    with pytest.raises(TypeError, match="data_type"):
        flyte.new_condition("ship", data_type=dict)
    with pytest.raises(ValueError, match="timeout"):
        flyte.new_condition("ship", timeout=-1)
