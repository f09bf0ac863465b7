"""Azure's store through fsspec's registry: a stand-in for its client takes what we hand to it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from flyte_ray import storage
from flyte_ray.errors import ConfigurationError
from flyte_ray.io import DataFrame, Dir, File
from flyte_ray.io.places import _filesystem
from tests.unit.io.places import pass_on, running_task


class FakeAzure(MemoryFileSystem):
    """Takes the URLs and options of adlfs, and keeps the objects in memory."""

    protocol = ("abfs", "az", "abfss")
    cachable = False
    store: dict[str, Any] = {}
    pseudo_dirs = [""]
    asked_for: list[dict[str, Any]] = []

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.asked_for.append(options)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        """Both `az://container/key` and `abfss://container@account/key` name the container."""
        bare = path.partition("://")[2] or path
        container, slash, key = bare.lstrip("/").partition("/")
        return f"/{container.partition('@')[0]}{slash}{key}".rstrip("/")


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FakeAzure]]:
    for name in FakeAzure.protocol:
        monkeypatch.setitem(_registry, name, FakeAzure)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    _filesystem.cache_clear()
    FakeAzure.store.clear()
    FakeAzure.asked_for.clear()
    yield FakeAzure
    _filesystem.cache_clear()


@pytest.mark.parametrize("root", ["az://box", "abfss://box@account.dfs.core.windows.net"])
def test_files_folders_and_tables_travel(root: str, azure: Any, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("a")
    with running_task("", raw_data_path=f"{root}/raw"):
        file = File.from_local_sync(tmp_path / "folder" / "a.txt")
        folder = Dir.from_local_sync(tmp_path / "folder")
        table = DataFrame.from_local_sync(pd.DataFrame({"n": [1, 2]}))
        assert file.path.startswith(f"{root}/raw/")
        arrived = [pass_on(each, type(each)) for each in (file, folder, table)]
    assert Path(arrived[0].download_sync()).read_text() == "a"
    assert [each.name for each in arrived[1].list_files_sync()] == ["a.txt"]
    assert arrived[2].open(pd.DataFrame).all_sync()["n"].tolist() == [1, 2]
    assert all(key.startswith("/box/raw/") for key in azure.store)


def test_accounts_of_the_environment_reach_the_client(azure: Any) -> None:
    assert not storage.exists_sync("az://box/nothing")
    (asked,) = azure.asked_for
    assert (asked["account_name"], asked["tenant_id"]) == ("account", "tenant")
    assert "anon" not in asked


@pytest.mark.skipif(find_spec("adlfs") is not None, reason="the client is installed here")
def test_what_is_not_installed_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"az:// needs .*flyte-ray\[azure\]"):
        File(path="az://box/a.txt").download_sync()
