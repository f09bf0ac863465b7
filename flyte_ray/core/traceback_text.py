"""Tracebacks as authors want to read them: their own frames, each cause once.

What lies between two frames of an author (ours, and Ray's and Python's own below ours) is left
out, as are links of a chain that add no frame. An error that our own code raised by mistake keeps
every frame: then they are what matters.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

from flyte_ray import errors

_OURS = str(Path(__file__).parents[1]) + os.sep
_PYTHON = str(Path(os.__file__).parent) + os.sep
_PACKAGES = f"{os.sep}site-packages{os.sep}"
_RAY = (f"{_PACKAGES}ray{os.sep}", "python/ray/")
_BY_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_BESIDE = "\nDuring handling of the above exception, another exception occurred:\n\n"


def authors_text(error: BaseException, *, keep_mistakes: bool = True) -> str:
    """The traceback of an exception and of what led to it, for its author.

    Args:
        error: what was raised.
        keep_mistakes: show all of an error that our own code raised without meaning to.
    """
    parts: list[str] = []
    for link, joint in _chain(error):
        is_kept = keep_mistakes and _is_mistake(link)
        text = _link_text(link, is_last=link is error, is_kept=is_kept)
        if text:
            parts.extend((joint if parts else "", text))
    return "".join(parts)


def _chain(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    """What led to it, the earliest first, each with how it is joined to the one before it."""
    links: list[tuple[BaseException, str]] = []
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if link.__cause__ is not None:
            links.append((link, _BY_CAUSE))
            link = link.__cause__
        else:
            links.append((link, _BESIDE))
            link = None if link.__suppress_context__ else link.__context__
    return reversed(links)


def _link_text(link: BaseException, *, is_last: bool, is_kept: bool) -> str:
    if isinstance(link, errors.RemoteTraceback):
        return f"{link.message.rstrip()}\n"
    if link.__traceback__ is None and not is_last:
        return ""  # an exception that travelled: the far traceback before it has said it all
    told = traceback.TracebackException.from_exception(link)
    if not is_kept and not _trim(told) and not is_last:
        return ""  # nothing of it happened in an author's code
    return "".join(told.format(chain=False))


def _trim(told: traceback.TracebackException) -> bool:
    """Leave only an author's frames; False, and all of them, if there are none."""
    kept = list(_authors(told.stack))
    if kept:
        told.stack = traceback.StackSummary.from_list(kept)
    for inner in told.exceptions or ():
        _trim(inner)
    return bool(kept)


def _authors(stack: Iterable[traceback.FrameSummary]) -> Iterator[traceback.FrameSummary]:
    """The frames that are not ours, nor below ours without an author's in between."""
    is_below_ours = False
    for frame in stack:
        name = frame.filename
        if name.startswith(_OURS):
            is_below_ours = True
        elif not (is_below_ours and _is_plumbing(name)):
            is_below_ours = False
            yield frame


def _is_plumbing(filename: str) -> bool:
    is_python = filename.startswith(_PYTHON) and _PACKAGES not in filename
    return is_python or filename.startswith("<") or any(part in filename for part in _RAY)


def _is_mistake(error: BaseException) -> bool:
    """True for what our own code raised without meaning to."""
    trace = error.__traceback__
    if trace is None or isinstance(error, errors.FlyteRayError) or not isinstance(error, Exception):
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename.startswith(_OURS)
