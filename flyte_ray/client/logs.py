"""Log lines: the two loggers of the house, their levels and how their lines look.

`logger` (named "flyte.user") is for authors; `system_logger` ("flyte") and everything named
"flyte_ray.*" is ours. Each record carries its run and action (`engine/log_stamp`). What an attempt
logs is kept in the record since it passes through stderr; this room stores nothing.

The rule to know: lines are printed by one handler of ours, which is silent where the root logger
prints to the same terminal already, so that no line appears twice.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from flyte_ray.engine.log_stamp import NOWHERE, stamp_log_records
from flyte_ray.errors import ConfigurationError

logger = logging.getLogger("flyte.user")
"""For authors of tasks; INFO unless told otherwise."""
system_logger = logging.getLogger("flyte")
"""For the house itself; WARNING unless told otherwise."""

_HOUSE = logging.getLogger("flyte_ray")
_OURS = ("flyte", "flyte_ray")

Level = int | str | None


class _Terminal(logging.StreamHandler):  # type: ignore[type-arg]  # generic in stubs only
    """Prints to whatever stderr is at the moment, unless the root logger does."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        if not any(_prints(handler) for handler in logging.getLogger().handlers):
            # Captures of attempts, progress views and test runners replace stderr all the time.
            self.stream = sys.stderr
            super().emit(record)


def _prints(handler: logging.Handler) -> bool:
    stream = getattr(handler, "stream", None)
    return stream is not None and stream in (
        sys.stderr,
        sys.stdout,
        sys.__stderr__,
        sys.__stdout__,
    )


class ConsoleFormatter(logging.Formatter):
    """`12:30:01 WARNING [run][action] logger: message`; the brackets only inside an action."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(where)s%(message)s", datefmt="%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        run = getattr(record, "run_name", NOWHERE)
        action = getattr(record, "action_name", NOWHERE)
        record.where = "" if run == NOWHERE else f"[{run}][{action}] "
        return super().format(record)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with the fields that Flyte's has."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "filename": record.filename,
            "lineno": record.lineno,
            "funcName": record.funcName,
            "run_name": getattr(record, "run_name", NOWHERE),
            "action_name": getattr(record, "action_name", NOWHERE),
            "is_flyte_internal": record.name.split(".")[0] in _OURS and record.name != logger.name,
        }
        if record.exc_info:
            line["exc_info"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


FORMATTERS: Mapping[str, type[logging.Formatter]] = {
    "console": ConsoleFormatter,
    "json": JsonFormatter,
}


def configure(
    level: Level = None,
    *,
    user_level: Level = None,
    log_format: str | None = None,
    reset_root_logger: bool = False,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Set levels and format; what is not given comes from the environment. Idempotent.

    The variables belong to other programs too: a value that means nothing here is passed over.

    Args:
        level: of the house; then LOG_LEVEL; then WARNING.
        user_level: of `logger`; then USER_LOG_LEVEL; then INFO.
        log_format: `console` or `json`; then LOG_FORMAT; then console.
        reset_root_logger: take the root logger's handlers away (also FLYTE_RESET_ROOT_LOGGER=1).
        environ: default: the environment of this process.

    Raises:
        ConfigurationError: a given level or format does not exist.
    """
    environ = os.environ if environ is None else environ
    stamp_log_records()
    house_level = _chosen(level, environ.get("LOG_LEVEL"), logging.WARNING)
    system_logger.setLevel(house_level)
    _HOUSE.setLevel(house_level)
    logger.setLevel(_chosen(user_level, environ.get("USER_LOG_LEVEL"), logging.INFO))
    if reset_root_logger or environ.get("FLYTE_RESET_ROOT_LOGGER") == "1":
        root = logging.getLogger()
        for handler in list(root.handlers):
            root.removeHandler(handler)
    if log_format is not None and log_format not in FORMATTERS:
        raise ConfigurationError(f"The log format cannot be {log_format!r}; give console or json.")
    wished = log_format or environ.get("LOG_FORMAT", "")
    formatter = FORMATTERS.get(wished, ConsoleFormatter)()
    for owner in (system_logger, _HOUSE):
        _terminal_of(owner).setFormatter(formatter)


def _terminal_of(owner: logging.Logger) -> logging.Handler:
    for handler in owner.handlers:
        if isinstance(handler, _Terminal):
            return handler
    terminal = _Terminal()
    owner.addHandler(terminal)
    return terminal


def _chosen(given: Level, variable: str | None, otherwise: int) -> int:
    if given is not None:
        number = _number(given)
        if number is None:
            raise ConfigurationError(
                f"The log level cannot be {given!r}; "
                "give a number or one of DEBUG, INFO, WARNING, ERROR."
            )
        return number
    return _number(variable or "") or otherwise


def _number(level: int | str) -> int | None:
    if isinstance(level, int):
        return level
    name = level.strip().upper()
    return int(name) if name.isdigit() else logging.getLevelNamesMapping().get(name)
