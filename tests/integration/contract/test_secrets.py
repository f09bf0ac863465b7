"""Secrets: given to the body, and to nothing that is kept (item 4, §22)."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from tests.integration.contract.house import House, ended, only
from tests.integration.contract.tasks import secretive

VALUE = "correct-horse-battery-staple"


def test_a_secret_reaches_the_body_and_nothing_in_the_store(house: House, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "api-key").write_text(VALUE)
    run = ended(
        house.runner(env_vars={"FLYTE_RAY_SECRETS_DIR": str(tmp_path)}).run(secretive.prints)
    )
    run.raise_for_status()
    assert run.outputs()[0] == len(VALUE)
    failed = ended(
        house.runner(env_vars={"FLYTE_RAY_SECRETS_DIR": str(tmp_path)}).run(secretive.raises)
    )
    (attempt,) = only(run, "prints").attempts
    assert "printed ***" in attempt.logs
    assert "refused: ***" in str(only(failed, "raises").error)
    assert mentions(house.store) == []


def mentions(folder: Path) -> list[Path]:
    """Files below that hold the value. Rows are compressed, so they are read as rows too."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = [path for path in files if VALUE.encode() in path.read_bytes()]
    rows = [path for path in files if path.suffix == ".parquet"]
    found += [path for path in rows if VALUE in str(pq.read_table(path).to_pylist())]
    return found


def test_a_secret_that_is_nowhere_fails_the_task_at_once(house: House) -> None:
    error = house.error(secretive.prints)
    assert "api-key" in str(error)
    assert "SHOP_API_KEY" in str(error)
