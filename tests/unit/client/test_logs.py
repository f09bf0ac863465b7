"""Levels, formats, and the run and action on every record."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flyte_ray.client import logs
from flyte_ray.core.context import ActionContext, entered
from flyte_ray.engine.log_stamp import stamp_log_records
from flyte_ray.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Put logging back as it was; the root logger prints nothing meanwhile."""
    names = ("", "flyte", "flyte.user", "flyte_ray")
    before = {n: (logging.getLogger(n).level, list(logging.getLogger(n).handlers)) for n in names}
    factory = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(factory)
    for name, (level, handlers) in before.items():
        logging.getLogger(name).setLevel(level)
        logging.getLogger(name).handlers[:] = handlers


def inside(run: str, action: str) -> Any:
    context = SimpleNamespace(run=SimpleNamespace(name=run), action_id=action)
    return entered(cast(ActionContext, context))


def test_authors_see_info_and_the_house_only_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(environ={})
    logs.logger.info("author speaks")
    logs.system_logger.info("house whispers")
    logging.getLogger("flyte_ray.store.ledger").warning("house warns")
    text = capsys.readouterr().err
    assert "author speaks" in text
    assert "house warns" in text
    assert "whispers" not in text


def test_levels_come_from_arguments_before_the_environment() -> None:
    environ = {"LOG_LEVEL": "ERROR", "USER_LOG_LEVEL": "10"}
    logs.configure(environ=environ)
    assert (logs.system_logger.level, logs.logger.level) == (logging.ERROR, logging.DEBUG)
    logs.configure("info", user_level=logging.CRITICAL, environ=environ)
    assert (logs.system_logger.level, logs.logger.level) == (logging.INFO, logging.CRITICAL)


def test_configuring_twice_prints_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(environ={})
    logs.configure(environ={})
    logs.logger.info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_nothing_is_printed_twice_when_the_root_logger_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logging.getLogger().addHandler(logging.StreamHandler(sys.stderr))
    logs.configure(environ={})
    logs.logger.info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_lines_inside_an_action_name_run_and_action(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(environ={})
    logs.logger.info("outside")
    with inside("r1", "a7"):
        logs.logger.info("within")
    outside, within = capsys.readouterr().err.splitlines()
    assert "[" not in outside
    assert "[r1][a7] within" in within


def test_every_record_of_any_logger_has_the_fields() -> None:
    stamp_log_records()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(run_name)s/%(action_name)s %(message)s"))
    foreign = logging.getLogger("somebody.else")
    foreign.addHandler(handler)
    foreign.error("out")
    with inside("r1", "a0"):
        foreign.error("in")
    foreign.removeHandler(handler)
    assert stream.getvalue().splitlines() == ["-/- out", "r1/a0 in"]


def test_stamping_twice_wraps_once() -> None:
    stamp_log_records()
    factory = logging.getLogRecordFactory()
    stamp_log_records()
    assert logging.getLogRecordFactory() is factory


def test_json_lines_carry_the_fields_of_flyte(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(log_format="json", environ={})
    with inside("r1", "a0"):
        logs.logger.warning("hello %s", "you")
    line = json.loads(capsys.readouterr().err)
    assert line["message"] == "hello you"
    assert (line["run_name"], line["action_name"]) == ("r1", "a0")
    assert line["level"] == "WARNING"
    assert line["logger"] == "flyte.user"
    assert line["is_flyte_internal"] is False
    assert {"timestamp", "filename", "lineno", "funcName"} <= set(line)


def test_a_level_or_format_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="loud"):
        logs.configure("loud", environ={})
    with pytest.raises(ConfigurationError, match="xml"):
        logs.configure(log_format="xml", environ={})


def test_shared_variables_meant_for_others_are_passed_over() -> None:
    logs.configure(environ={"LOG_LEVEL": "notice", "LOG_FORMAT": "logfmt"})
    assert logs.system_logger.level == logging.WARNING


def test_resetting_the_root_logger_takes_its_handlers_away() -> None:
    logging.getLogger().addHandler(logging.NullHandler())
    logs.configure(environ={"FLYTE_RESET_ROOT_LOGGER": "1"})
    assert logging.getLogger().handlers == []
