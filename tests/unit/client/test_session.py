"""What `init` and its siblings take, and what they refuse."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import flyte_ray as flyte
from flyte_ray.client.session import current_session, temporary_session

OF_FLYTE = """
    org project domain root_dir log_level log_format reset_root_logger user_log_level endpoint
    headless insecure insecure_skip_verify ca_cert_file_path auth_type command proxy_command
    api_key client_id client_credentials_secret auth_client_config rpc_retries http_proxy_url
    disable_keyring storage batch_size image_builder images image_registry source_config_path
    sync_local_sys_paths load_plugin_type_transformers local_persistence local_tracked
    local_tracked_strict scopes
"""
"""The parameters of `flyte.init`, 2.12."""

EVERY = [
    flyte.init,
    flyte.init_from_config,
    flyte.init_in_cluster,
    flyte.init_from_api_key,
    flyte.init_passthrough,
]


@pytest.fixture(autouse=True)
def _back_to_the_session_before(tmp_path: Path) -> Iterator[None]:
    with temporary_session(store=str(tmp_path)):
        yield


@pytest.mark.parametrize("begin", EVERY)
def test_an_option_that_nobody_knows_is_refused_and_the_nearest_is_named(
    begin: Callable[..., None],
) -> None:
    before = current_session()
    with pytest.raises(TypeError, match=r"\(\) has no option 'stroe'; did you mean 'store'\?"):
        begin(stroe="gs://bucket")
    with pytest.raises(TypeError, match=r"no option 'qqq' \(settings: `flyte-ray get config`\)"):
        begin(qqq=1)
    assert current_session() is before


def test_the_nearest_may_be_a_parameter() -> None:
    with pytest.raises(TypeError, match="did you mean 'root_dir'"):
        flyte.init(rootdir=".")


@pytest.mark.parametrize("begin", EVERY)
def test_settings_are_taken_by_every_way_to_begin(
    begin: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    begin(store=str(tmp_path / "chosen"), namespace="ours", root_dir=tmp_path)
    session = current_session()
    assert session.settings.store == str(tmp_path / "chosen")
    assert session.settings.namespace == "ours"
    assert session.root_dir == tmp_path


def test_every_option_of_flyte_is_accepted() -> None:
    flytes: dict[str, Any] = dict.fromkeys(OF_FLYTE.split())
    flyte.init(**{**flytes, "project": "p", "images": {"name": "an-image"}})
    assert current_session().settings.project == "p"
    assert current_session().settings.images is None
