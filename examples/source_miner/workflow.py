"""The source miner: from 1,200 source files to a published classifier, one durable run.

    python examples/source_miner/workflow.py [--limit N] [--fail-at N] [--local] [--no-cache]
    flyte-ray run examples/source_miner/workflow.py mine --limit 200

README.md beside this file walks through a failure, its recovery, the cache and one changed file.
"""

import argparse
import asyncio
import secrets
import sys
from pathlib import Path

# One name for the modules beside this file, however it was started: as a script, by the command
# line, in a Ray job. Workers inherit the path.
if (_EXAMPLES := str(Path(__file__).resolve().parents[1])) not in sys.path:
    sys.path.insert(0, _EXAMPLES)

import flyte_ray as flyte
from flyte_ray.client.run import Run
from flyte_ray.client.summary import closing_summary
from source_miner.analyse import analyse
from source_miner.discover import LIMIT, PACKAGES, discover, list_sources, snapshot_of
from source_miner.environment import env
from source_miner.fault import VARIABLE
from source_miner.learn import evaluate, tabulate, train
from source_miner.publish import Mined, count_statuses, write_card, write_report

IN_FLIGHT = 64
"""Analyses at once: enough to keep every worker of a small cluster busy."""


@env.task(cache="disable")
async def mine(
    limit: int = LIMIT, packages: str = PACKAGES, seed: int = 7, snapshot: str = ""
) -> Mined:
    """Learn which package a Python file comes from, and publish what was learned.

    Args:
        limit: How many files to look at.
        packages: Names of installed packages, `stdlib`, or directories; separated by commas.
        seed: Seed of the classifier.
        snapshot: Digest of all the files, when the caller has looked already (the script has).
    """
    sources = await discover.aio(packages, limit, snapshot)
    items = range(1, len(sources) + 1)
    figures = [
        found
        async for found in flyte.map.aio(
            analyse, sources, items, concurrency=IN_FLIGHT, return_exceptions=False
        )
    ]
    table = await tabulate.aio(sources, figures)
    fitted = await train.aio(table, seed)
    scores = await evaluate.aio(table, fitted.model)
    card, report = await asyncio.gather(
        write_card.aio(table, fitted, scores), write_report.aio(table, fitted, scores)
    )
    return Mined(
        files=len(sources),
        statuses=count_statuses(table),
        accuracy=scores.accuracy,
        baseline=scores.baseline,
        model=fitted.model,
        card=card,
        report=report,
    )


def main() -> int:
    """Start a run, watch it, sum it up; the exit code is the run's outcome."""
    parser = _parser()
    asked = parser.parse_args()
    # The files are the true input. With their digest among the inputs the whole run may be
    # answered from the cache; without it (as `flyte-ray run` does) `mine` always looks again.
    try:
        snapshot = snapshot_of(list_sources(asked.packages, asked.limit))
    except ValueError as error:
        parser.error(str(error))
    name = asked.name or f"miner-{secrets.token_hex(3)}"
    flyte.init()
    runner = flyte.with_runcontext(
        mode="local" if asked.local else None,
        name=name,
        labels={"example": "source_miner"},
        # Everything shall really run up to the failure, so that recovery has something to show.
        disable_run_cache=asked.no_cache or asked.fail_at is not None,
        env_vars={VARIABLE: f"{asked.fail_at}@{name}"} if asked.fail_at is not None else None,
    )
    try:
        run = runner.run(
            mine.override(cache="auto"),
            limit=asked.limit,
            packages=asked.packages,
            seed=asked.seed,
            snapshot=snapshot,
        )
        run.wait()
    except flyte.errors.UsageError as error:  # Nothing was started: the name is taken, say.
        parser.error(str(error))
    except flyte.errors.RuntimeUserError as error:  # A local run raises what made it fail.
        print(error, file=sys.stderr)
        run = Run.get(name)
    print(closing_summary(run))
    if run.phase != "succeeded":
        return 1
    mined: Mined = run.outputs()[0]
    statuses = ", ".join(f"{count} {status}" for status, count in mined.statuses.items())
    print(f"{mined.files} files ({statuses}); accuracy on held-out files {mined.accuracy:.1%}")
    print(f"(always guessing the most frequent package: {mined.baseline:.1%})")
    for what in ("model", "card", "report"):
        print(f"  {what:7} {getattr(mined, what).path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Learn which package a source file comes from.")
    parser.add_argument("--limit", type=int, default=LIMIT, help="files to look at (%(default)s)")
    parser.add_argument("--packages", default=PACKAGES, help="comma-separated (%(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="of the classifier (%(default)s)")
    parser.add_argument("--name", help="of the run; must be new (default: miner-<6 hex digits>)")
    parser.add_argument("--local", action="store_true", help="in this process, without Ray")
    parser.add_argument("--no-cache", action="store_true", help="neither read nor write the cache")
    parser.add_argument(
        "--fail-at", type=int, metavar="N", help="let item N fail in this run; implies --no-cache"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
