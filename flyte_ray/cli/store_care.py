"""What `flyte-ray store …` does, and how it tells: results on stdout, the rest on stderr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from flyte_ray.cli.backend import Invocation
from flyte_ray.cli.render import print_document
from flyte_ray.client.session import current_session
from flyte_ray.codec.insides import Insides
from flyte_ray.core.ids import RunName
from flyte_ray.core.ports import Blobs
from flyte_ray.store import cache_compaction
from flyte_ray.store.archive import export_run, import_run
from flyte_ray.store.compaction import compact_run, compact_store
from flyte_ray.store.digests import LookInside
from flyte_ray.store.leases import sweep_flights
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.store.retention import Plan, Wish, plan_removal, remove
from flyte_ray.store.trimming import trim_logs
from flyte_ray.store.values import RunValues


def compact(invocation: Invocation, *, runs: Sequence[str]) -> None:
    """Carry out `store compact`."""
    blobs = _blobs(invocation)

    def inside_of(run: RunName) -> LookInside:
        return Insides(RunValues(blobs, run))

    if runs:
        done = [compact_run(blobs, r, look_inside=inside_of(RunName(r))) for r in runs]
    else:
        done = compact_store(blobs, inside_of=inside_of)
    if not runs:
        cache_compaction.compact_cache(blobs)
    if invocation.writes_json:
        rows = [{"run": d.run, "parts": d.parts, "tables": d.tables} for d in done]
        print_document(invocation.out, rows, invocation.options.output_format)
        return
    changed = [each for each in done if each.parts or each.tables]
    for each in changed:
        tables = ", tables" if each.tables else ""
        invocation.out.print(f"{each.run}: {each.parts} parts{tables}")
    invocation.err.print(f"{len(changed)} of {len(done)} runs had something to fold.")


def collect(
    invocation: Invocation,
    *,
    before: datetime,
    dry_run: bool,
    abandoned: bool,
    kept: bool,
    cached: bool,
) -> None:
    """Carry out `store gc`."""
    blobs = _blobs(invocation)
    wish = Wish(
        before_us=int(before.timestamp() * 1e6), abandoned=abandoned, kept=kept, cached=cached
    )
    plan = plan_removal(blobs, wish)
    if dry_run:
        _tell_plan(invocation, plan, len(sweep_flights(blobs, wish.before_us, dry_run=True)))
        return
    if isinstance(blobs, LocalBlobs):
        blobs.sweep_scratch()
    gone = []
    spared = dict(plan.spared)
    for each in remove(blobs, plan):
        if each.spared:
            spared[each.run] = each.spared
            continue
        gone.append({"run": each.run, "objects": each.objects, "needed": each.needed})
        if not invocation.writes_json:
            left = f", {each.needed} still needed by others" if each.needed else ""
            invocation.out.print(f"{each.run}: removed {each.objects} objects{left}")
    slots = trim_logs(blobs)
    cache_compaction.sweep_cache(blobs)
    claims = len(sweep_flights(blobs, wish.before_us))
    if invocation.writes_json:
        document = {
            "removed": gone,
            "spared": spared,
            "log_segments": slots,
            "claims": claims,
        }
        print_document(invocation.out, document, invocation.options.output_format)
        return
    _tell_spared(invocation, spared)
    invocation.err.print(
        f"Removed {len(gone)} runs, {slots} segments of folded books, and {claims} claims and"
        " results of serialized cache keys."
    )


def export(invocation: Invocation, *, run: str, path: Path) -> None:
    """Carry out `store export`."""
    count = export_run(_blobs(invocation), run, path)
    invocation.err.print(f"{path}: {count} objects of run {run}")


def bring_in(invocation: Invocation, *, path: Path) -> None:
    """Carry out `store import`."""
    run = import_run(_blobs(invocation), path)
    invocation.out.print(run, markup=False)


def _blobs(invocation: Invocation) -> Blobs:
    invocation.backend()
    return current_session().blobs()


def _tell_plan(invocation: Invocation, plan: Plan, claims: int) -> None:
    if invocation.writes_json:
        document = {
            "would_remove": list(plan.removed),
            "spared": dict(plan.spared),
            "claims": claims,
        }
        print_document(invocation.out, document, invocation.options.output_format)
        return
    for run in plan.removed:
        invocation.out.print(f"would remove {run}", markup=False)
    _tell_spared(invocation, plan.spared)
    invocation.err.print(
        f"{len(plan.removed)} runs would go, and {claims} claims and results of serialized cache"
        " keys. Nothing was removed."
    )


def _tell_spared(invocation: Invocation, spared: Mapping[str, str]) -> None:
    for run, reason in sorted(spared.items()):
        invocation.err.print(f"{run} stays: {reason}", markup=False)
