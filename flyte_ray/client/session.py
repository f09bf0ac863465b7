"""What this process has settled on: its settings, its store, its engines.

`init` is optional everywhere: the first run makes a session from the environment, the project's
configuration files and the defaults. A session starts nothing by itself.
"""

from __future__ import annotations

import difflib
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flyte_ray.author.scope import announce_session
from flyte_ray.client import excepthook, logs
from flyte_ray.client.config import Settings, load_settings
from flyte_ray.client.dual import blocking
from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core.ports import Blobs, Codecs
from flyte_ray.store.blobs import check_writable, open_blobs
from flyte_ray.store.cache_index import StoredCache

_SETTINGS = frozenset(Settings.model_fields) - {"origins"}
_OF_FLYTE = frozenset(
    {
        "api_key",
        "auth_client_config",
        "auth_type",
        "batch_size",
        "ca_cert_file_path",
        "client_credentials_secret",
        "client_id",
        "command",
        "disable_keyring",
        "endpoint",
        "headless",
        "http_proxy_url",
        "image_builder",
        "image_registry",
        "insecure",
        "insecure_skip_verify",
        "load_plugin_type_transformers",
        "local_persistence",
        "local_tracked",
        "local_tracked_strict",
        "org",
        "proxy_command",
        "reset_root_logger",
        "rpc_retries",
        "scopes",
        "source_config_path",
        "storage",
        "sync_local_sys_paths",
    }
)
"""Flyte's options that mean nothing here; accepted, so that its scripts run."""
_LOCAL_STORE = "local_store"
"""`store`, under another name."""


class Session:
    """Settings, and the connections that follow from them; each is made once, when first used."""

    def __init__(self, settings: Settings, root_dir: Path | None = None) -> None:
        self.settings = settings
        self.root_dir = root_dir
        self.codecs: Codecs = PayloadCodec()
        self.engines: dict[str, Any] = {}
        self.engine_locks = {"local": threading.RLock(), "remote": threading.RLock()}
        self._lock = threading.RLock()
        self._blobs: Blobs | None = None
        self._cache: StoredCache | None = None
        self._writable = False

    @property
    def store_url(self) -> str:
        """Root URL of the record, absolute."""
        return self.blobs().url

    def blobs(self) -> Blobs:
        """The store; opened by the first use, which writes nothing."""
        with self._lock:
            if self._blobs is None:
                self._blobs = open_blobs(self.settings.store, fsync=self.settings.fsync)
            return self._blobs

    def cache(self) -> StoredCache:
        """Results of earlier runs, for engines in this process."""
        with self._lock:
            if self._cache is None:
                self._cache = StoredCache(self.blobs())
            return self._cache

    def require_writable(self) -> None:
        """Try the store once before the first run.

        Raises:
            StoreUnwritableError: nothing can be recorded there; names the place and the remedy.
        """
        with self._lock:
            if not self._writable:
                check_writable(self.blobs())
                self._writable = True


_session: Session | None = None
_session_lock = threading.RLock()


def current_session() -> Session:
    """The session of this process; made from the environment if nobody called `init`."""
    with _session_lock:
        if _session is None:
            return _begin(load_settings(), None)
        return _session


def _begin(settings: Settings, root_dir: str | Path | None) -> Session:
    global _session
    root = Path(root_dir).resolve() if root_dir is not None else None
    session = Session(settings, root)
    if root is not None and str(root) not in sys.path:
        sys.path.append(str(root))
    logs.configure(
        settings.log_level,
        user_level=settings.user_log_level,
        log_format=settings.log_format,
    )
    excepthook.install()
    announce_session(project=settings.project, domain=settings.domain)
    with _session_lock:
        _session = session
    return session


@contextmanager
def temporary_session(**options: Any) -> Iterator[Session]:
    """A session with these settings inside the block; the one before it is back afterwards."""
    global _session
    with _session_lock:
        before = _session
    try:
        yield _begin(_chosen("temporary_session", None, options), None)
    finally:
        with _session_lock:
            _session = before


def _chosen(caller: str, config: str | Path | None, given: Mapping[str, Any]) -> Settings:
    """Raises `TypeError` for an option that neither Flyte nor this package has."""
    known = _SETTINGS | _OF_FLYTE | {_LOCAL_STORE}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, [*known, "root_dir"], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else " (settings: `flyte-ray get config`)"
            raise TypeError(f"{caller}() has no option {name!r}{hint}")
    explicit = {name: value for name, value in given.items() if name in _SETTINGS}
    if isinstance(explicit.get("images"), Mapping):
        del explicit["images"]  # Flyte's: names of images that are built elsewhere
    if explicit.get("store") is None and given.get(_LOCAL_STORE) is not None:
        explicit["store"] = given[_LOCAL_STORE]
    return load_settings(config, **explicit)


@blocking
def init(
    *,
    store: str | None = None,
    address: str | None = None,
    mode: str | None = None,
    root_dir: str | Path | None = None,
    **options: Any,
) -> None:
    """Choose store and cluster for the runs of this process. Optional; the last call holds.

    Args:
        store: root URL of the record: a local directory, `gs://…`, `s3://…`.
        address: a Ray cluster to attach to; default `RAY_ADDRESS`, else an embedded Ray.
        mode: "remote" (Ray, the default) or "local" (in this process).
        root_dir: root of the code to ship; put on the import path.
        **options: further settings (`client/config.py`), and every option of Flyte's `init`, which
            is accepted: endpoints and credentials of a Flyte backend have no meaning here.

    Raises:
        TypeError: an option that neither Flyte nor this package has; names the nearest.
        ConfigurationError: a setting has an impossible value; names it.
    """
    given = {**options, "store": store, "address": address, "mode": mode}
    _begin(_chosen("init", None, given), root_dir)


@blocking
def init_from_config(
    path_or_config: str | Path | None = None,
    root_dir: str | Path | None = None,
    **options: Any,
) -> None:
    """`init` with the settings of a file; without one, whatever the project's files say.

    A Flyte configuration file is accepted too: its backend sections are passed over.

    Raises:
        TypeError: an option that neither Flyte nor this package has; names the nearest.
        InitializationError: the named file does not exist (code "ConfigFileNotFoundError").
    """
    _begin(_chosen("init_from_config", path_or_config, options), root_dir)


@blocking
def init_in_cluster(*_: Any, root_dir: str | Path | None = None, **options: Any) -> None:
    """`init` for code that already runs on a cluster: the same thing here."""
    _begin(_chosen("init_in_cluster", None, options), root_dir)


@blocking
def init_from_api_key(*_: Any, root_dir: str | Path | None = None, **options: Any) -> None:
    """`init`; there is no service that a key would open."""
    _begin(_chosen("init_from_api_key", None, options), root_dir)


@blocking
def init_passthrough(*_: Any, root_dir: str | Path | None = None, **options: Any) -> None:
    """`init`; there is no service to pass credentials through to."""
    _begin(_chosen("init_passthrough", None, options), root_dir)
