"""`import flyte` served from this package."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

import flyte_ray
from flyte_ray import _alias
from flyte_ray.errors import OOMError


@pytest.fixture(autouse=True)
def _without_traces() -> Iterator[None]:
    before = [*sys.meta_path]
    yield
    sys.meta_path[:] = before
    for name in [each for each in sys.modules if each.split(".")[0] == "flyte"]:
        del sys.modules[name]


def test_nothing_happens_before_it_is_asked_for() -> None:
    assert not _alias.installed()


def test_the_alias_is_the_same_module_at_every_depth() -> None:
    _alias.install()
    assert _alias.installed()
    import flyte  # type: ignore[import-not-found]
    import flyte.author.scope  # type: ignore[import-not-found]
    import flyte.errors  # type: ignore[import-not-found]
    from flyte import Cache  # type: ignore[import-not-found]
    from flyte.errors import OOMError as TheirOOMError  # type: ignore[import-not-found]

    assert flyte is flyte_ray
    assert flyte.errors is flyte_ray.errors
    assert flyte.author.scope is sys.modules["flyte_ray.author.scope"]
    assert Cache is flyte_ray.Cache
    assert TheirOOMError is OOMError


def test_modules_keep_their_own_names() -> None:
    _alias.install()
    import flyte.errors

    spec = flyte_ray.errors.__spec__
    assert (flyte_ray.__name__, flyte_ray.errors.__name__) == ("flyte_ray", "flyte_ray.errors")
    assert spec is not None
    assert spec.name == "flyte_ray.errors"
    assert b"flyte_ray.errors" in pickle.dumps(flyte.errors.OOMError)


def test_old_pickles_by_the_alias_are_read() -> None:
    _alias.install()
    assert pickle.loads(b"cflyte.errors\nOOMError\n.") is OOMError


def test_a_module_we_do_not_have_is_missing_as_usual() -> None:
    _alias.install()
    with pytest.raises(ModuleNotFoundError, match=r"flyte\.no_such_thing"):
        __import__("flyte.no_such_thing")


def test_other_packages_are_left_alone() -> None:
    _alias.install()
    with pytest.raises(ModuleNotFoundError):
        __import__("flytekit_of_nobody")


def test_installing_twice_is_once() -> None:
    _alias.install()
    before = [*sys.meta_path]
    _alias.install()
    assert sys.meta_path == before


def test_beside_the_real_flyte_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flyte", ModuleType("flyte"))
    with pytest.raises(ImportError, match="imported already"):
        _alias.install()
    assert not _alias.installed()
