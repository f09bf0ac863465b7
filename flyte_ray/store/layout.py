"""Where everything lies below the store's root: every key as a function, and nowhere else.

This room only makes names; it neither reads nor writes. Keys are relative and `/`-separated.

    format.json                              what the store is, for readers of other releases
    runs/<run>/run.json                      the run; written once, until it is removed
              /owners/<epoch>.json           who may write the book, one per takeover
              /log/<chunk>/<slot>.parquet    the book; 1000 slots a chunk keep a LIST short
              /damaged/<slot>~<epoch>        bytes of the book that a takeover could not read
              /parts/<first>-<last>.parquet  ranges of the book, folded into one file each
              /actions.parquet               one row per action, when the run has ended
              /edges.parquet                 what came from what, when the run has ended
              /values/<digest>.<codec>       large values
              /logs/<action>/<attempt>.log   what an attempt printed, when it printed much
              /reports/<action>/<attempt>.html   what an attempt showed (`report`)
              /mail/<kind>~<name>.json       put-once letters to the run
              /heartbeat.json                the owner's last sign of life
              /final/<epoch>.json            how the run ended
    catalog/runs/<day>/<run>.parquet         one row per ended run, until it is merged
                /merged/<rows>-<unique>.parquet   many such rows (`summaries`)
    catalog/reopened/<run>~<epoch>.json      rows of lower epochs count no more
    removal/code/<bundle>.json               code that no run uses (`unused_code`)
    code/<digest>.zip, .pkl                  bundles, and tasks that travel by value
    cache/l0/<unique>.parquet                results for later runs
    probe/<unique>                           shows that the store can be written

Rule: a name that comes from a user is quoted before it enters a key.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from flyte_ray.core.digest import Digest, digest_bytes
from flyte_ray.core.ids import ActionId, RunName

FORMAT = "format.json"
RUNS = "runs"
CODE = "code"
CACHE_LEVEL_0 = "cache/l0"
SUMMARIES = "catalog/runs"
MERGED = "merged"
MERGED_SUMMARIES = f"{SUMMARIES}/{MERGED}"
REOPENED = "catalog/reopened"
SLOTS_PER_CHUNK = 1000

_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_PART_NAME = re.compile(r"(\d{9,})-(\d{9,})\.parquet", re.ASCII)
_LONGEST_NAME = 150


def is_run_name(name: str) -> bool:
    """True for a name that may stand in a key: letters, digits and `._-`, at most 128."""
    return _RUN_NAME.fullmatch(name) is not None


def run_folder(run: RunName) -> str:
    """Everything that belongs to one run lies below it."""
    return f"{RUNS}/{run}"


def run_file(run: RunName) -> str:
    """The run's description, or the note that it was removed."""
    return f"{RUNS}/{run}/run.json"


def owners(run: RunName) -> str:
    """The folder of claims."""
    return f"{RUNS}/{run}/owners"


def owner(run: RunName, epoch: int) -> str:
    """The claim of one epoch."""
    return f"{RUNS}/{run}/owners/{epoch:06d}.json"


def log(run: RunName) -> str:
    """The folder of the book's chunks."""
    return f"{RUNS}/{run}/log"


def chunk(run: RunName, number: int) -> str:
    """The folder of 1000 slots."""
    return f"{RUNS}/{run}/log/{number:06d}"


def segment(run: RunName, slot: int) -> str:
    """One immutable file of the book."""
    return f"{RUNS}/{run}/log/{slot // SLOTS_PER_CHUNK:06d}/{slot:09d}.parquet"


def damaged(run: RunName, slot: int, epoch: int) -> str:
    """What lay in a slot before the owner of this epoch put a fence there."""
    return f"{RUNS}/{run}/damaged/{slot:09d}~{epoch:06d}"


def parts(run: RunName) -> str:
    """The folder of the folded ranges of the book."""
    return f"{RUNS}/{run}/parts"


def part(run: RunName, first: int, last: int) -> str:
    """The rows of the slots `first` to `last`, both included."""
    return f"{RUNS}/{run}/parts/{first:09d}-{last:09d}.parquet"


def part_range(file_name: str) -> tuple[int, int] | None:
    """The slots that a part's file name states; None for strangers."""
    found = _PART_NAME.fullmatch(file_name)
    if found is None or int(found[1]) > int(found[2]):
        return None
    return int(found[1]), int(found[2])


def actions_table(run: RunName) -> str:
    """One row per action; written when the run has ended."""
    return f"{RUNS}/{run}/actions.parquet"


def edges_table(run: RunName) -> str:
    """What came from what; written when the run has ended."""
    return f"{RUNS}/{run}/edges.parquet"


def run_summaries(day: str) -> str:
    """The folder of the runs that began on one day (UTC, `yyyymmdd`)."""
    return f"{SUMMARIES}/{day}"


def run_summary(run: RunName, day: str) -> str:
    """One row: what a list of runs shows of it, when it has ended."""
    return f"{run_summaries(day)}/{run}.parquet"


def merged_summaries(rows: int, unique: str) -> str:
    """So many rows of ended runs."""
    return f"{MERGED_SUMMARIES}/{rows:09d}-{unique}.parquet"


def merged_rows(file_name: str) -> int | None:
    """How many rows a file of them says to hold; None for strangers."""
    return number(file_name.partition("-")[0])


def reopened(run: RunName, epoch: int) -> str:
    """The mark that a run is claimed anew under this epoch."""
    return f"{REOPENED}/{run}~{epoch:06d}.json"


def reopened_run(file_name: str) -> tuple[str, int]:
    """Run and epoch of such a mark."""
    run, _, epoch = file_name.partition("~")
    return run, number(epoch) or 0


def value(run: RunName, digest: Digest, codec: str) -> str:
    """The bytes of a large value, named by its content."""
    return f"{values(run)}{digest}.{quote(codec, safe='')}"


def values(run: RunName) -> str:
    """What the keys of a run's large values begin with."""
    return f"{RUNS}/{run}/values/"


def files(run: RunName) -> str:
    """Folder of the files, folders and frames that the run's tasks made."""
    return f"{run_folder(run)}/files"


def attempt_log(run: RunName, action: ActionId, attempt: int) -> str:
    """What one attempt printed."""
    return f"{RUNS}/{run}/logs/{action}/{attempt}.log"


def reports(run: RunName, action: ActionId) -> str:
    """The folder of one action's reports."""
    return f"{RUNS}/{run}/reports/{action}"


def report(run: RunName, action: ActionId, attempt: int) -> str:
    """The report of one attempt, a page of HTML."""
    return f"{reports(run, action)}/{attempt}.html"


def mail(run: RunName) -> str:
    """The folder of letters; flat, so that looking for new ones is one LIST."""
    return f"{RUNS}/{run}/mail"


def letter_name(kind: str, name: str) -> str:
    """File name of a letter. Names too long for a file end in their digest."""
    quoted = quote(name, safe="")
    if len(quoted) > _LONGEST_NAME:
        quoted = f"{quoted[:_LONGEST_NAME]}-{digest_bytes(name.encode())[:16]}"
    return f"{quote(kind, safe='')}~{quoted}.json"


def letter(run: RunName, kind: str, name: str) -> str:
    """One letter."""
    return f"{mail(run)}/{letter_name(kind, name)}"


def letter_kind(file_name: str) -> str:
    """The kind of a letter, from its file name."""
    return unquote(file_name.partition("~")[0])


def finals(run: RunName) -> str:
    """The folder of endings; the one of the latest owner counts."""
    return f"{RUNS}/{run}/final"


def final(run: RunName, epoch: int) -> str:
    """How the run ended under one owner."""
    return f"{RUNS}/{run}/final/{epoch:06d}.json"


def heartbeat(run: RunName) -> str:
    """The owner's sign of life."""
    return f"{RUNS}/{run}/heartbeat.json"


def code_bundle(digest: Digest) -> str:
    """The archive of a run's code."""
    return f"{CODE}/{digest}.zip"


def code_by_value(digest: Digest) -> str:
    """A task that cannot be imported, pickled."""
    return f"{CODE}/{digest}.pkl"


def cache_entries(unique: str) -> str:
    """One published batch of cache entries."""
    return f"{CACHE_LEVEL_0}/{unique}.parquet"


def probe(unique: str) -> str:
    """A throw-away object that shows whether the store can be written."""
    return f"probe/{unique}"


def number(file_name: str) -> int | None:
    """The slot, epoch or chunk that a file or folder name states; None for strangers."""
    stem = file_name.partition(".")[0]
    return int(stem) if stem.isascii() and stem.isdecimal() else None
