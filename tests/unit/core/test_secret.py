"""Secrets: where they end up, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from flyte_ray.core.secret import MOUNT_POINT, Secret, normalise_secrets


@pytest.mark.parametrize(
    ("secret", "variable"),
    [
        (Secret("token"), "TOKEN"),
        (Secret("api-key", "openai"), "OPENAI_API_KEY"),
        (Secret("api-key", "open-ai"), "OPEN_AI_API_KEY"),
        (Secret("1k", as_env_var="KEY_1K"), "KEY_1K"),
        (Secret("cert", mount=MOUNT_POINT), None),
        (Secret("cert", mount=MOUNT_POINT, as_env_var="CERT"), "CERT"),
    ],
)
def test_variable_is_derived_unless_named_or_mounted(secret: Secret, variable: str | None) -> None:
    assert secret.as_env_var == variable


@pytest.mark.parametrize(
    "arguments",
    [
        {"key": ""},
        {"key": "1k"},
        {"key": "a b"},
        {"key": "k", "as_env_var": "lower"},
        {"key": "k", "as_env_var": "1K"},
        {"key": "k", "mount": Path("/tmp")},
    ],
)
def test_wrong_secret_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Secret"):
        Secret(**arguments)


def test_mount_may_be_a_text() -> None:
    assert Secret("k", mount=str(MOUNT_POINT)).mount == MOUNT_POINT  # type: ignore[arg-type]


def test_equal_secrets_have_equal_hashes_in_every_process() -> None:
    secret = Secret("k", "g")
    assert secret.stable_hash() == Secret("k", "g").stable_hash()
    assert secret.stable_hash() != Secret("g", "k").stable_hash()
    assert {secret: 1}[pickle.loads(pickle.dumps(secret))] == 1


@pytest.mark.parametrize(
    ("request_", "keys"),
    [
        (None, []),
        ("a", ["a"]),
        (Secret("a"), ["a"]),
        (["a", Secret("b")], ["a", "b"]),
        ((Secret("a"),), ["a"]),
    ],
)
def test_short_forms_of_secrets(request_: Any, keys: list[str]) -> None:
    assert [secret.key for secret in normalise_secrets(request_)] == keys


@pytest.mark.parametrize("request_", [5, ["a", 5], {"a": 1}])
def test_other_forms_of_secrets_are_refused(request_: Any) -> None:
    with pytest.raises(TypeError, match="secrets"):
        normalise_secrets(request_)
