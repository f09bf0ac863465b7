"""Which distribution brings a module."""

from __future__ import annotations

from importlib import metadata

import pytest

from flyte_ray.core.origins import distribution_of


@pytest.mark.parametrize("module", ["attr", "sklearn", "yaml", "pyarrow", "dateutil", "pytest"])
def test_a_module_is_known_by_what_was_installed(module: str) -> None:
    names = metadata.packages_distributions()[module]
    assert distribution_of(f"{module}.inner") == (names[0], metadata.version(names[0]))


def test_of_several_distributions_that_share_a_name_one_is_chosen_for_good() -> None:
    shared = sorted(set(metadata.packages_distributions()["google"]))
    assert len(shared) > 1, "the clients of Google's store share it"
    assert distribution_of("google.cloud")[0] == shared[0]


def test_what_nobody_brings_has_no_version() -> None:
    assert distribution_of("not_installed_anywhere") == ("not_installed_anywhere", "")
