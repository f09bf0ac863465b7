"""How the clients of object stores are told who you are: one class per kind of store.

Each gives options for fsspec's client, from its fields; `auto` takes them from the environment. The
client libraries find most of it by themselves: these classes are for those who say it in code.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What holds for every store. Retries are the client libraries' own; accepted for Flyte."""

    retries: int = 3
    backoff: timedelta = timedelta(seconds=5)
    enable_debug: bool = False
    attach_execution_metadata: bool = True

    @classmethod
    def auto(cls) -> Storage:
        """From the environment, where it says anything."""
        return cls()

    def get_fsspec_kwargs(self, anonymous: bool = False) -> dict[str, Any]:
        """Options for fsspec's client."""
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class S3(Storage):
    """Amazon S3 and what speaks like it.

    Example:
        >>> S3(endpoint="http://localhost:9000").get_fsspec_kwargs()
        {'client_kwargs': {'endpoint_url': 'http://localhost:9000'}}
    """

    endpoint: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    region: str | None = None
    addressing_style: str | None = None

    @classmethod
    def auto(cls, region: str | None = None) -> S3:
        """From `AWS_*` (and Flyte's `FLYTE_AWS_*`) of the environment."""
        return cls(
            endpoint=_variable("FLYTE_AWS_ENDPOINT", "AWS_ENDPOINT_URL"),
            access_key_id=_variable("FLYTE_AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"),
            secret_access_key=_variable("FLYTE_AWS_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"),
            region=region or _variable("AWS_REGION", "AWS_DEFAULT_REGION"),
            addressing_style=_variable("FLYTE_AWS_S3_ADDRESSING_STYLE"),
        )

    @classmethod
    def for_sandbox(cls) -> S3:
        """A MinIO on this machine, with its usual keys."""
        return cls(
            endpoint="http://localhost:4566",
            access_key_id="minio",
            secret_access_key="miniostorage",
        )

    def get_fsspec_kwargs(self, anonymous: bool = False) -> dict[str, Any]:
        """Options for s3fs."""
        client = {"endpoint_url": self.endpoint, "region_name": self.region}
        said: dict[str, Any] = {
            "key": self.access_key_id,
            "secret": self.secret_access_key,
            "anon": anonymous or None,
            "client_kwargs": _said(client),
            "config_kwargs": _said({"s3": _said({"addressing_style": self.addressing_style})}),
        }
        return _said(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class GCS(Storage):
    """Google Cloud Storage; credentials are the machine's own, as Google's libraries find them."""

    @classmethod
    def auto(cls) -> GCS:
        """From the environment."""
        return cls()

    def get_fsspec_kwargs(self, anonymous: bool = False) -> dict[str, Any]:
        """Options for gcsfs."""
        return {"token": "anon"} if anonymous else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ABFS(Storage):
    """Azure Blob Storage."""

    account_name: str | None = None
    account_key: str | None = None
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: str | None = None

    @classmethod
    def auto(cls) -> ABFS:
        """From `AZURE_*` of the environment."""
        return cls(
            account_name=_variable("AZURE_STORAGE_ACCOUNT_NAME"),
            account_key=_variable("AZURE_STORAGE_ACCOUNT_KEY"),
            tenant_id=_variable("AZURE_TENANT_ID"),
            client_id=_variable("AZURE_CLIENT_ID"),
            client_secret=_variable("AZURE_CLIENT_SECRET"),
        )

    def get_fsspec_kwargs(self, anonymous: bool = False) -> dict[str, Any]:
        """Options for adlfs."""
        names = ("account_name", "account_key", "tenant_id", "client_id", "client_secret")
        return _said({**{name: getattr(self, name) for name in names}, "anon": anonymous or None})


CONFIGS: dict[str, type[Storage]] = {
    "s3": S3,
    "s3a": S3,
    "gs": GCS,
    "gcs": GCS,
    "abfs": ABFS,
    "abfss": ABFS,
    "az": ABFS,
}


def said_in_environment(protocol: str) -> dict[str, Any]:
    """Options for fsspec's client that stand in variables which it does not read by itself.

    Those it does read are left to it: it knows more of them (session tokens, roles, profiles).
    """
    if protocol in ("s3", "s3a"):
        return S3(
            endpoint=_variable("FLYTE_AWS_ENDPOINT"),
            access_key_id=_variable("FLYTE_AWS_ACCESS_KEY_ID"),
            secret_access_key=_variable("FLYTE_AWS_SECRET_ACCESS_KEY"),
            addressing_style=_variable("FLYTE_AWS_S3_ADDRESSING_STYLE"),
        ).get_fsspec_kwargs()
    return get_configured(protocol) if CONFIGS.get(protocol) is ABFS else {}


def get_configured(protocol: str, anonymous: bool = False) -> dict[str, Any]:
    """Options for fsspec's client of a protocol, from all variables that speak of it."""
    config = CONFIGS.get(protocol)
    return config.auto().get_fsspec_kwargs(anonymous) if config is not None else {}


def _variable(*names: str) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def _said(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value not in (None, {}, "")}
