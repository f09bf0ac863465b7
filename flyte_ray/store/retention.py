"""Removes old runs with all that is theirs, and nothing that anybody still needs.

A run stays while it goes on, carries the label `keep`, or is recovered by one that goes on. Of a
run that goes, the values and files stay that the cache, an artifact or a run that stays needs
(`needs`); whatever else is its own goes.

A run to which anything happens between the plan and its note is left alone, so that several may
remove at once, beside owners that come back to life, and beside a new run of an old name
(`standing`).

The order makes a crash harmless: first `run.json` is replaced by a note that the run was removed
(it vanishes from all lists, its name stays taken), then the rest goes, then its row in the catalog,
and the note last, when nothing is left. The next removal goes on where one was cut off, and takes
what is needed no longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flyte_ray.core.calls import RunSpec
from flyte_ray.core.ids import RunName
from flyte_ray.core.model import utc_now_us
from flyte_ray.core.ports import Blobs
from flyte_ray.store import layout
from flyte_ray.store.needs import Needs, needs_of
from flyte_ray.store.parallel import in_parallel
from flyte_ray.store.references import References, walk
from flyte_ray.store.run_file import read_removal, read_run, write_removal
from flyte_ray.store.standing import Standing, latest_claim, standing_of
from flyte_ray.store.summaries import (
    REMOVED,
    clear_marks,
    drop_summaries,
    mark_reopened,
    read_summaries,
)
from flyte_ray.store.unused_code import all_code, is_due, mark_code, sweep_code

KEEP = "keep"
"""Label of a run that is never removed, unless its value is "false"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What may go."""

    before_us: int
    """Runs that ended before this time (UTC)."""
    abandoned: bool = False
    """Also runs without an end whose owner has shown no sign of life since then."""
    kept: bool = False
    """Also runs with the label `keep`."""
    cached: bool = False
    """Also values that entries of the cache need; these are misses then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would go, and what stays although it is old."""

    removed: tuple[RunName, ...] = ()
    spared: Mapping[str, str] = field(default_factory=dict)
    """Old runs that stay, and why; and all whose books cannot be read."""
    needed: References = field(default_factory=References)
    named: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What the runs that leave something behind had named of others."""
    standing: Mapping[str, Standing] = field(default_factory=dict)
    """How runs stood; one of which that has changed since is left alone."""
    notes: Mapping[RunName, bytes] = field(default_factory=dict)
    """Of runs whose removal had begun. Another note, or none, means that somebody else is at it."""
    stale_rows: frozenset[str] = frozenset()
    """Names under which the catalog lists a run that is no more."""
    code: frozenset[str] = frozenset()
    """Keys of code that only these runs used, or nobody."""
    code_used: frozenset[str] = frozenset()
    """Keys of code that descriptions of runs name, of those that go, too."""
    code_in_use: frozenset[str] | None = None
    """Keys of code that runs which stay use; None: their books were not read, or cannot be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What became of one run."""

    run: RunName
    objects: int
    """Removed."""
    needed: int
    """Left, for somebody needs them."""
    spared: str = ""
    """Why it was left alone after all."""


_NOTHING_GOES = Needs(needed=References(), named={})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the plan asks of one run."""

    spec: RunSpec
    standing: Standing

    @property
    def ended_us(self) -> int | None:
        return self.standing.ended_us

    @property
    def seen_us(self) -> int:
        """Its last sign of life."""
        beat = self.standing.beat
        return max(self.spec.started_us, beat.at_us if beat else 0)


def plan_removal(blobs: Blobs, wish: Wish) -> Plan:
    """What the wish comes to; removes nothing. Reads the books of the runs that stay."""
    rows = read_summaries(blobs)  # before the runs: one that is made meanwhile has none
    code = frozenset(all_code(blobs))  # before them, too: that of one made meanwhile is not unused
    known, pending = _look(blobs)
    spared: dict[str, str] = {}
    going: list[RunName] = []
    for run in known.values():
        reason = _reason_to_stay(run, wish)
        if reason is None:
            going.append(run.spec.name)
        elif reason:
            spared[run.spec.name] = reason
    sources = _sources_of_open_runs(known)
    for each in [name for name in going if name in sources]:
        going.remove(each)
        spared[each] = f"run {sources[each]} recovers it"
    needs, code_in_use = _NOTHING_GOES, None
    if going or pending or is_due(blobs, now_us=utc_now_us()):
        staying = known.keys() - set(going)
        needs = needs_of(blobs, staying=staying, going=going, pending=pending, cached=wish.cached)
        spared.update(needs.unread)
        going = [name for name in going if name not in needs.unread]
        code_in_use = None if needs.unread else _code_in_use(known, going, needs.needed)
    return Plan(
        removed=(*sorted(pending), *sorted(going)),
        spared=spared,
        needed=needs.needed,
        named=needs.named,
        standing={name: known[name].standing for name in going},
        notes=pending,
        stale_rows=frozenset(
            name
            for name, row in rows.items()
            if name not in pending and _is_stale(row, known.get(name))
        ),
        code=frozenset() if code_in_use is None else code - code_in_use,
        code_used=frozenset(key for run in known.values() for key in run.spec.code_keys),
        code_in_use=code_in_use,
    )


def remove(blobs: Blobs, plan: Plan) -> Iterable[Removed]:
    """Carry the plan out, run by run. May be cut off anywhere and planned again.

    Works on a disk that is full: what can be made again goes first, without which there would be no
    room for the notes, and rows that list the runs are written anew when the runs have gone.
    """
    rows = read_summaries(blobs)
    going = [run for run in plan.removed if _is_as_planned(blobs, run, plan)]
    for run in going:
        again = [layout.edges_table(run), layout.actions_table(run), layout.heartbeat(run)]
        blobs.delete(again)
    mark_code(blobs, plan.code, plan.code_used)
    notes = {run: _note_removal(blobs, run, plan, is_listed=run in rows) for run in going}
    empty, are_spared = [], False
    for run in plan.removed:
        note = notes.get(run)
        removed = _spared(run) if note is None else _remove_objects(blobs, run, note, plan.needed)
        if not removed.needed and not removed.spared:
            empty.append(run)
        are_spared = are_spared or bool(removed.spared)
        yield removed
    noted = {run for run, note in notes.items() if note is not None}
    drop_summaries(blobs, noted | plan.stale_rows)
    for run in empty:
        if read_removal(blobs, run) == notes[run]:
            blobs.delete([layout.run_file(run)])
    clear_marks(blobs, empty)
    if plan.code_in_use is not None and not are_spared:  # the books of these were not read
        sweep_code(blobs, plan.code_in_use, now_us=utc_now_us())


def _code_in_use(
    known: Mapping[str, _Known], going: Sequence[RunName], needed: References
) -> frozenset[str]:
    """By the descriptions of the runs that stay, and by their books."""
    used = {key for name in known.keys() - set(going) for key in known[name].spec.code_keys}
    return frozenset(used | needed.code)


def _look(blobs: Blobs) -> tuple[dict[str, _Known], dict[RunName, bytes]]:
    """The runs of the store, and the notes of those whose removal has begun.

    Raises:
        StoreError: a run.json is damaged: what it needs is not known, so nothing may go.
    """
    names = [name for name in blobs.list(layout.RUNS) if layout.is_run_name(name)]
    known: dict[str, _Known] = {}
    pending: dict[RunName, bytes] = {}
    found = in_parallel(blobs, lambda name: _look_at(blobs, name), names)
    for name, each in zip(names, found, strict=True):
        if isinstance(each, _Known):
            known[name] = each
        elif each is not None:
            pending[RunName(name)] = each
    return known, pending


def _look_at(blobs: Blobs, name: str) -> _Known | bytes | None:
    """One run; the note if it is being removed; None if it is not there, or not yet."""
    try:
        spec = read_run(blobs, name)
        return _Known(spec=spec, standing=standing_of(blobs, spec))
    except (LookupError, FileNotFoundError):
        return read_removal(blobs, name)


def _is_stale(row: Mapping[str, Any], run: _Known | None) -> bool:
    """True for a row of another run than that which has the name, if any has."""
    return run is None or (row["started_at"] or 0) != run.spec.started_us


def _reason_to_stay(each: _Known, wish: Wish) -> str | None:
    """None if it goes; empty if it is not old; else why it stays."""
    if each.ended_us is None:
        if each.seen_us >= wish.before_us:
            return ""
        if not wish.abandoned:
            return "it has not ended (`--abandoned` removes it)"
    elif each.ended_us >= wish.before_us:
        return ""
    if not wish.kept and each.spec.labels.get(KEEP, "false").lower() != "false":
        return "it is labelled `keep`"
    return None


def _sources_of_open_runs(known: Mapping[str, _Known]) -> dict[str, str]:
    """Runs that a run in progress recovers, or that those recovered: who needs them."""
    found: dict[str, str] = {}
    for each in known.values():
        source = each.spec.source_run if each.ended_us is None and each.spec.recover else None
        while source is not None and source in known and source not in found:
            found[source] = each.spec.name
            spec = known[source].spec
            source = spec.source_run if spec.recover else None
    return found


def _is_as_planned(blobs: Blobs, run: RunName, plan: Plan) -> bool:
    """False if anything has happened to the run, or another one has its name, or it is gone."""
    if run in plan.notes:
        return read_removal(blobs, run) == plan.notes[run]
    try:
        return standing_of(blobs, read_run(blobs, run)).is_that_of(plan.standing[run])
    except (LookupError, FileNotFoundError):
        return False  # somebody else removes it


def _note_removal(blobs: Blobs, run: RunName, plan: Plan, *, is_listed: bool) -> bytes | None:
    """The note that the run is removed; None if it is not to be.

    `is_listed`: it has a row that must not be taken for the run any more.
    """
    try:
        described = blobs.get(layout.run_file(run))
    except FileNotFoundError:
        return None  # somebody else has removed it
    if not _is_as_planned(blobs, run, plan):
        return None
    if is_listed:
        mark_reopened(blobs, run, REMOVED)
    if run in plan.notes:
        return plan.notes[run]
    note = write_removal(blobs, run, plan.named.get(run, ()))
    claim = latest_claim(blobs, run)
    if claim is not None and claim != plan.standing[run].claim:
        # Somebody took it over just now. Who comes later finds the note: see `ownership.take_over`.
        blobs.put(layout.run_file(run), described)
        blobs.delete([layout.reopened(run, REMOVED)])
        return None
    if is_listed:
        mark_reopened(blobs, run, REMOVED)  # should somebody have swept it since
    return note


def _spared(run: RunName) -> Removed:
    return Removed(
        run=run,
        objects=0,
        needed=0,
        spared="something happened to it since this began, or somebody else removes it",
    )


def _remove_objects(blobs: Blobs, run: RunName, note: bytes, needed: References) -> Removed:
    folder = layout.run_folder(run)
    last = layout.run_file(run)
    keys = [key for key in walk(blobs, folder) if key != last]
    if read_removal(blobs, run) != note:  # asked after it was listed: else these are its keys
        return _spared(run)
    stay = [key for key in keys if needed.needs(run, key[len(folder) + 1 :])]
    gone = [key for key in keys if key not in set(stay)]
    blobs.delete(gone)
    return Removed(run=run, objects=len(gone) + (not stay), needed=len(stay))
