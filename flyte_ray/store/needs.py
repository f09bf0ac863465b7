"""What is still needed of the runs that are to go, by those that stay, the cache and artifacts.

A run that goes leaves values behind where somebody names them, and these may hold values and files
of others (`references`), as its book says, or the note in its place.

Of a run that stays and whose book cannot be read, nobody knows what it needs. It is named, and all
values and files stay: what goes of the others is their record. One that was to go, but leaves
something behind, stays itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from flyte_ray.core.ids import RunName
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import StoreError
from flyte_ray.store import references
from flyte_ray.store.references import References


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What stays of the runs that go."""

    needed: References
    named: Mapping[str, Sequence[str]]
    """What the runs that leave something behind had named of others."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Runs whose books cannot be read, and why; all of them stay."""


def needs_of(
    blobs: Blobs,
    *,
    staying: Iterable[str],
    going: Iterable[RunName],
    pending: Mapping[RunName, bytes],
    cached: bool,
) -> Needs:
    """What is needed of the runs that go. Reads the books of those that stay.

    Args:
        blobs: the store.
        staying: runs that stay.
        going: runs that are to go.
        pending: notes of those whose removal had begun.
        cached: what the cache names goes, too.
    """
    needed, unread = References(), dict[str, str]()
    for name in staying:
        _add_run(blobs, RunName(name), needed, unread)
    references.of_folder(blobs, references.ARTIFACTS, needed)
    if not cached:
        references.of_folder(blobs, references.CACHE, needed)
    left = [*going]
    while True:
        if unread:
            needed.need_all_of([*left, *pending])
        named = _follow(blobs, left, pending, needed, unread)
        stays = [name for name in left if name in unread]
        if not stays:
            return Needs(needed=needed, named=named, unread=unread)
        left = [name for name in left if name not in unread]


def _follow(
    blobs: Blobs,
    going: Sequence[RunName],
    pending: Mapping[RunName, bytes],
    needed: References,
    unread: dict[str, str],
) -> dict[str, Sequence[str]]:
    """Need also what values that stay may hold: all that was named by the run they are of.

    A pickled list of files shows none of them, but the book of its run does, or its note. Returns
    what is to stand in the notes.
    """
    named: dict[str, Sequence[str]] = {}
    waiting = {*going, *pending}
    while reached := sorted(run for run in waiting if needed.has_any_of(run)):
        waiting.difference_update(reached)
        for run in reached:
            found = References()
            if run in pending:
                found.add_text(pending[run].decode("utf-8", "replace"), owner=run)
            else:
                _add_run(blobs, run, found, unread)
            named[run] = found.keys()
            needed.add_values(found)
    return named


def _add_run(blobs: Blobs, run: RunName, found: References, unread: dict[str, str]) -> None:
    try:
        references.of_run(blobs, run, found)
    except StoreError as error:
        unread[run] = f"its book cannot be read, so all that it may need stays, too: {error}"
