"""Secrets: found on the machine that runs the body, and kept out of what is recorded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from flyte_ray import errors
from flyte_ray.core.failure import from_exception
from flyte_ray.core.secret import Secret
from flyte_ray.engine import secret_values
from flyte_ray.engine.secret_values import SecretValues, found

VALUE = "hunter2-hunter2"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLYTE_RAY_SECRETS_DIR", str(tmp_path))
    return tmp_path


def test_the_environment_comes_first_then_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = Secret("api-key", group="openai")
    assert found(secret) is None
    (folder / "api-key").write_text("by key\n")
    assert found(secret) == "by key"
    (folder / "openai").mkdir()
    (folder / "openai" / "api-key").write_text("by group\n")
    assert found(secret) == "by group"
    monkeypatch.setenv("OPENAI_API_KEY", "by variable")
    assert found(secret) == "by variable"


def test_a_variable_of_another_name_is_filled_from_the_secrets_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKEN", VALUE)
    monkeypatch.delenv("MY_TOKEN", raising=False)
    with SecretValues([Secret("token", as_env_var="MY_TOKEN")]) as secrets:
        secrets.provide("env.f")
        assert os.environ["MY_TOKEN"] == VALUE
    assert "MY_TOKEN" not in os.environ


def test_a_missing_secret_is_named_with_the_places(folder: Path) -> None:
    secrets = SecretValues([Secret("none", group="g")])
    with pytest.raises(errors.ConfigurationError, match=rf"'none'.*G_NONE.*{folder}"):
        secrets.provide("env.f")


def test_texts_and_errors_lose_the_values(folder: Path) -> None:
    (folder / "key").write_text(VALUE)
    with SecretValues([Secret("key")]) as secrets:
        secrets.provide("env.f")
        assert secrets.masked(f"it is {VALUE}.") == "it is ***."
        error = secrets.masked_error(from_exception(ValueError(f"bad {VALUE}")))
        assert error is not None
        assert error.message == "bad ***"
        assert error.pickled is None
        harmless = from_exception(ValueError("other"))
        assert secrets.masked_error(harmless) == harmless


def test_a_mounted_secret_is_a_private_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mounts = tmp_path / "mounts"
    monkeypatch.setattr(secret_values, "MOUNT_POINT", mounts)
    (folder / "cert").write_text(VALUE)
    secret = Secret("cert", group="tls", mount=Path("/etc/flyte/secrets"))
    with SecretValues([secret]) as secrets:
        secrets.provide("env.f")
    file = mounts / "tls" / "cert"
    assert file.read_text() == VALUE
    assert file.stat().st_mode & 0o777 == 0o600


@dataclass
class Login:
    user: str
    token: object


@pytest.mark.parametrize(
    "value",
    [
        "key: long-enough-to-be-one",
        {"a": [1, {"token": "long-enough-to-be-one"}]},
        Login("me", b"\x00long-enough-to-be-one\x00"),
        np.frombuffer(b"..long-enough-to-be-one..", dtype=np.uint8),
        pa.table({"token": ["long-enough-to-be-one"]}),
    ],
    ids=["text", "nested", "bytes", "array", "table"],
)
def test_a_value_that_holds_a_secret_is_refused_by_name(
    value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "long-enough-to-be-one")
    with SecretValues([Secret("token")]) as secrets:
        secrets.provide("env.step")
        secrets.check({"x": "something else", "y": len}, "task 'env.step', output")
        with pytest.raises(
            errors.UnserializableInputError, match=r"output 'o0' holds .* secret 'token'"
        ):
            secrets.check({"o0": value}, "task 'env.step', output")


def test_a_short_secret_may_stand_in_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_NAME", "postgres")
    with SecretValues([Secret("user-name")]) as secrets:
        secrets.provide("env.step")
        secrets.check({"o0": "postgres://here"}, "task 'env.step', output")
        assert secrets.masked("postgres://here") == "***://here"
