"""What `with_runcontext` takes."""

from __future__ import annotations

import logging

import pytest

import flyte_ray as flyte
from flyte_ray.models import ActionPhase
from flyte_ray.notify import Slack


def test_who_asks_for_notifications_is_told_that_nobody_sends_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    slack = Slack(on_phase=ActionPhase.FAILED, webhook_url="https://hooks.example/1")
    with caplog.at_level(logging.WARNING):
        flyte.with_runcontext("local", notifications=[slack])
    assert "notifications of a run are not sent" in caplog.text
    caplog.clear()
    flyte.with_runcontext("local", notifications=None)
    assert caplog.text == ""
