"""One run as one zip file, and back into any store: its book, values, files, code and tables.

The archive holds the objects of the store under their keys, a `manifest.json` beside them, and what
the run needs of other runs (results that it adopted or that the cache answered with). In another
store absolute URLs of files would point back to where they were made: in the book and the tables
they are changed on the way in. Inside large stored values they are not, for these are named by
their content; a file in such a value is still looked for in the first store.

An archive may come from anybody: it brings what belongs to its run, values and files of others and
code under its own digest; none of what the store holds of others is replaced.

An import puts `run.json` last: until then there is no such run, and a cut-off import is begun anew.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc

from flyte_ray.core.calls import RunSpec
from flyte_ray.core.digest import digest_bytes
from flyte_ray.core.ids import RunName
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import RunExistsError, StoreError, UsageError
from flyte_ray.store import layout, references
from flyte_ray.store.final_tables import day_of
from flyte_ray.store.references import References, walk
from flyte_ray.store.run_file import name_taken, read_run
from flyte_ray.store.summaries import REMOVED, mark_reopened, read_summary
from flyte_ray.store.tables import read_table, write_table
from flyte_ray.store.unused_code import unmark_code

ARCHIVE_FORMAT = 1
MANIFEST = "manifest.json"

_ANY_VERSION = 10**6
_CODE = re.compile(r"code/([0-9a-f]{64})\.(?:zip|pkl)")
_ROW = re.compile(rf"{layout.SUMMARIES}/[0-9]{{8}}/([^/]+)\.parquet")
_TEXTS = ("inputs", "outputs", "attrs", "error", "spec")
_PUT_ONCE = ("/log/", "/owners/", "/parts/", "/final/", "/mail/")


def export_run(blobs: Blobs, name: str, path: Path) -> int:
    """Write the run into a zip file; how many objects. One in progress is taken as it stands.

    Raises:
        RunNotFoundError: there is no such run.
    """
    spec = read_run(blobs, name)
    partial = path.with_name(f"{path.name}.partial")
    day = day_of(spec)
    summary = read_summary(blobs, spec.name, day)
    count = 0
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for key in _keys(blobs, spec):
                try:
                    archive.writestr(key, blobs.get(key))
                    count += 1
                except FileNotFoundError:
                    continue  # folded meanwhile, or gone from a run that was removed
            if summary is not None:
                row = write_table(summary.table, summary.version, {})
                archive.writestr(layout.run_summary(spec.name, day), row)
                count += 1
            manifest = {"format": ARCHIVE_FORMAT, "run": spec.name, "store_url": blobs.url}
            archive.writestr(MANIFEST, json.dumps(manifest))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return count


def import_run(blobs: Blobs, path: Path) -> RunName:
    """Bring the run of an archive into this store; its name.

    Raises:
        UsageError: the file is no archive of a run, or of a later release.
        RunExistsError: the store has a run of that name.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _bring_in(blobs, archive, path)
    except (zipfile.BadZipFile, FileNotFoundError, IsADirectoryError) as error:
        raise UsageError(
            f"{path} is no archive of a run ({error}): `flyte-ray store export` makes one"
        ) from error


def _bring_in(blobs: Blobs, archive: zipfile.ZipFile, path: Path) -> RunName:
    manifest = _manifest(archive, path)
    run = RunName(str(manifest["run"]))
    last = layout.run_file(run)
    if blobs.exists(last):
        raise name_taken(blobs, run)
    old_url = str(manifest["store_url"])
    keys = [name for name in archive.namelist() if name != MANIFEST]
    strange = [key for key in keys if not _may_hold(archive, run, key)]
    if strange or last not in keys:
        raise UsageError(f"{path} is no archive of a run: it holds {strange[:1] or 'no run.json'}")
    for key in keys:
        if key != last:
            _store(blobs, key, _moved(key, archive.read(key), old_url, blobs.url), run)
    # A row that a merge has left of an earlier run of this name must not count.
    summaries = [key for key in keys if key.startswith(f"{layout.SUMMARIES}/")]
    mark_reopened(blobs, run, _epoch_in(archive, summaries))
    described = _moved_text(archive.read(last), old_url, blobs.url)
    if not blobs.put_new(last, described):
        raise name_taken(blobs, run)
    return run


def _epoch_in(archive: zipfile.ZipFile, summaries: list[str]) -> int:
    """Under which epoch the run had ended when its row was written; `REMOVED` if it has none."""
    for key in summaries:
        table = read_table(archive.read(key), _ANY_VERSION, ["epoch"]).table
        return int(table.column("epoch").to_pylist()[0])
    return REMOVED


def _manifest(archive: zipfile.ZipFile, path: Path) -> dict[str, object]:
    try:
        manifest: dict[str, object] = json.loads(archive.read(MANIFEST))
        is_known = manifest["format"] == ARCHIVE_FORMAT and layout.is_run_name(str(manifest["run"]))
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"{path} is no archive of a run ({error}): `flyte-ray store export` makes one"
        ) from error
    if not is_known:
        raise UsageError(f"{path} was written by a later release: upgrade flyte-ray")
    return manifest


def _keys(blobs: Blobs, spec: RunSpec) -> Iterator[str]:
    """All that belongs to the run, and what it needs of others."""
    needed = References()
    references.of_run(blobs, spec.name, needed)
    yield from (
        key
        for key in walk(blobs, layout.run_folder(spec.name))
        if key != layout.heartbeat(spec.name)
    )
    yield from (key for key in sorted({*spec.code_keys, *needed.code}) if blobs.exists(key))
    for other in needed.runs():
        for folder in ("values", "files"):
            for key in walk(blobs, f"{layout.RUNS}/{other}/{folder}"):
                if needed.needs(other, key.partition(f"/{other}/")[2]):
                    yield key


def _may_hold(archive: zipfile.ZipFile, run: RunName, key: str) -> bool:
    """True for what an archive of the run may bring along, and that is what its name says."""
    folder, _, rest = key.partition("/")
    if any(part in ("", ".", "..") for part in key.split("/")) or "\\" in key:
        return False
    if folder == layout.RUNS:
        owner, _, below = rest.partition("/")
        if key == layout.run_file(run):
            return _names(archive.read(key), run)
        return owner == run or (
            layout.is_run_name(owner) and below.startswith(("values/", "files/"))
        )
    if code := _CODE.fullmatch(key):
        return digest_bytes(archive.read(key)) == code[1]
    row = _ROW.fullmatch(key)
    return row is not None and row[1] == run and _is_row_of(archive.read(key), run)


def _names(described: bytes, run: RunName) -> bool:
    try:
        name: object = json.loads(described)["name"]
    except (ValueError, KeyError, TypeError):
        return False
    return name == run


def _is_row_of(data: bytes, run: RunName) -> bool:
    try:
        names = read_table(data, _ANY_VERSION, ["run"]).table.column("run").to_pylist()
    except (StoreError, KeyError):
        return False
    return [*names] == [run]


def _store(blobs: Blobs, key: str, data: bytes, run: RunName) -> None:
    """An object of the archive; what is written once must not be there with another content."""
    is_own = key.startswith((f"{layout.run_folder(run)}/", f"{layout.SUMMARIES}/"))
    if not is_own:
        if key.startswith(f"{layout.CODE}/"):
            unmark_code(blobs, key)
        blobs.put_new(key, data)  # what is there already belongs to others and stays
    elif not any(part in key for part in _PUT_ONCE):
        blobs.put(key, data)
    elif not blobs.put_new(key, data):
        raise RunExistsError(
            f"the store {blobs.url} holds remains of another run {run!r} ({key}): remove"
            f" {layout.run_folder(run)}, or import into another store",
            run_name=run,
        )


def _moved(key: str, data: bytes, old_url: str, new_url: str) -> bytes:
    """The object with its URLs changed, where it is a table of the record."""
    is_value = "/values/" in key or "/files/" in key
    if old_url == new_url or is_value or not key.endswith(".parquet"):
        return data
    try:
        stored = read_table(data, _ANY_VERSION)
    except StoreError:
        return data  # damaged where it came from; readers know what to do with it
    table = stored.table
    for name in _TEXTS:
        if name in table.column_names:
            place = table.column_names.index(name)
            texts = pc.replace_substring(table.column(name), f"{old_url}/", f"{new_url}/")
            table = table.set_column(place, name, texts)
    metadata = {k: v for k, v in stored.metadata.items() if k.startswith("flyte_ray.")}
    return write_table(table, stored.version, metadata)


def _moved_text(data: bytes, old_url: str, new_url: str) -> bytes:
    old, new = (json.dumps(f"{url}/")[1:-1].encode() for url in (old_url, new_url))
    data = data.replace(old, new)
    # The store that the run was started in, named without more.
    return data.replace(json.dumps(old_url).encode(), json.dumps(new_url).encode())
