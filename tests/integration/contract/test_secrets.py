"""Secrets: given to the body, and to nothing that is kept (item 4, §22)."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flyte_ray import errors
from tests.integration.contract.conftest import Stores
from tests.integration.contract.house import House, ended, only
from tests.integration.contract.tasks import secretive

VALUE = "correct-horse-battery-staple"


@pytest.fixture
def house(mode: str, stores: Stores) -> House:
    """With a store of this file alone: all of it is read, and nothing in it is merged meanwhile."""
    house = House(mode, stores(f"{mode}-secrets"))
    house.enter()
    return house


def test_a_secret_reaches_the_body_and_nothing_in_the_store(
    house: House, secret: dict[str, str]
) -> None:
    run = ended(house.runner(env_vars=secret).run(secretive.prints))
    run.raise_for_status()
    assert run.outputs()[0] == len(VALUE)
    failed = ended(house.runner(env_vars=secret).run(secretive.raises))
    (attempt,) = only(run, "prints").attempts
    assert "printed ***" in attempt.logs
    assert "refused: ***" in str(only(failed, "raises").error)
    assert mentions(house.store) == []


def test_reports_and_traced_errors_have_stars_in_them(house: House, secret: dict[str, str]) -> None:
    run = ended(house.runner(env_vars=secret).run(secretive.reports))
    run.raise_for_status()
    assert "<b>***</b>" in run.get_report()
    assert "***" in str(only(run, "shows").error)
    assert mentions(house.store) == []


@pytest.mark.parametrize("how", ["to a task", "in a trace", "in a checkpoint", "returned"])
def test_a_value_that_holds_a_secret_is_refused(
    house: House, secret: dict[str, str], how: str
) -> None:
    run = ended(house.runner(env_vars=secret).run(secretive.spreads, how))
    with pytest.raises(errors.RuntimeUserError, match="holds the value of the secret 'api-key'"):
        run.raise_for_status()
    assert mentions(house.store) == []


@pytest.fixture
def secret(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "api-key").write_text(VALUE)
    return {"FLYTE_RAY_SECRETS_DIR": str(tmp_path)}


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
