"""What a script prints when an error ends it: its own frames, not the house's.

As in Flyte, and only where nobody else (a notebook, a debugger) prints errors already. With our log
level at DEBUG everything is shown.
"""

from __future__ import annotations

import logging
import sys
from types import TracebackType

from flyte_ray.core.portable import MISBEHAVIOUR
from flyte_ray.core.traceback_text import authors_text


def install() -> None:
    """Print errors that nobody catches for their author, from now on. Idempotent."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = print_error


def print_error(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print an error that ends the process (see `sys.excepthook`)."""
    if not logging.getLogger("flyte_ray").isEnabledFor(logging.DEBUG):
        try:
            text = authors_text(error, keep_mistakes=False)
        except MISBEHAVIOUR:
            pass  # an exception that cannot be printed: Python knows what to do
        else:
            sys.stderr.write(text)
            return
    sys.__excepthook__(kind, error, trace)
