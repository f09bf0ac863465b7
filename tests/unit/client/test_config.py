"""Who wins when several sources set the same thing, and what bad settings are told."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from flyte_ray.client.config import SETTING_NAMES, Settings, load_settings
from flyte_ray.errors import ConfigurationError, InitializationError, UsageError


class Machine:
    """A home, a git repository with a subfolder in it, and an environment."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.repo = root / "repo"
        self.cwd = self.repo / "sub"
        self.environ: dict[str, str] = {}
        self.cwd.mkdir(parents=True)
        self.home.mkdir()
        (self.repo / ".git").mkdir()

    def write(self, path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def load(self, config: str | Path | None = None, **explicit: object) -> Settings:
        return load_settings(config, cwd=self.cwd, home=self.home, environ=self.environ, **explicit)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_any_source_the_store_lies_at_home(machine: Machine) -> None:
    settings = machine.load()
    assert settings.store == str(machine.home / ".flyte_ray" / "store")
    assert settings.namespace == "flyte_ray"
    assert {line.origin for line in settings.explain()} == {"default"}


def test_stronger_sources_win_one_by_one(machine: Machine) -> None:
    machine.write(machine.home / ".flyte_ray/config.yaml", "namespace: home\n")
    assert machine.load().namespace == "home"
    machine.write(machine.repo / "pyproject.toml", '[tool.flyte_ray]\nnamespace = "pyproject"\n')
    assert machine.load().namespace == "pyproject"
    machine.write(machine.repo / ".flyte_ray/config.yaml", "namespace: repo\n")
    assert machine.load().namespace == "repo"
    machine.write(machine.cwd / ".flyte_ray/config.yaml", "namespace: sub\n")
    assert machine.load().namespace == "sub"
    named = machine.write(machine.home / "other.yaml", "namespace: named\n")
    assert machine.load(named).namespace == "named"
    machine.environ["FLYTE_RAY_NAMESPACE"] = "environment"
    assert machine.load(named).namespace == "environment"
    assert machine.load(named, namespace="argument").namespace == "argument"


def test_sources_are_merged_setting_by_setting(machine: Machine) -> None:
    machine.write(machine.home / ".flyte_ray/config.yaml", "project: p\nnamespace: home\n")
    machine.environ["FLYTE_RAY_NAMESPACE"] = "n"
    settings = machine.load(mode="local")
    assert (settings.project, settings.namespace, settings.mode) == ("p", "n", "local")


def test_explain_says_where_each_value_came_from(machine: Machine) -> None:
    path = machine.write(machine.cwd / ".flyte_ray/config.yaml", "project: p\n")
    machine.environ["FLYTE_RAY_FSYNC"] = "1"
    lines = {line.name: line for line in machine.load(domain="d").explain()}
    assert list(lines) == list(SETTING_NAMES)
    assert (lines["project"].value, lines["project"].origin) == ("p", str(path))
    assert (lines["fsync"].value, lines["fsync"].origin) == (True, "environment FLYTE_RAY_FSYNC")
    assert lines["domain"].origin == "argument"
    assert lines["namespace"].origin == "default"


def test_the_search_stops_at_the_git_root(machine: Machine) -> None:
    machine.write(machine.repo.parent / ".flyte_ray/config.yaml", "namespace: strange\n")
    assert machine.load().namespace == "flyte_ray"


def test_without_a_git_root_only_the_working_directory_is_searched(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.flyte_ray]\nnamespace = "above"\n')
    below = tmp_path / "below"
    below.mkdir()
    assert load_settings(cwd=below, home=tmp_path / "h", environ={}).namespace == "flyte_ray"


def test_a_relative_store_is_relative_to_the_folder_the_file_speaks_for(machine: Machine) -> None:
    machine.write(machine.repo / "pyproject.toml", '[tool.flyte_ray]\nstore = "book"\n')
    assert machine.load().store == str(machine.repo / "book")
    machine.write(machine.repo / ".flyte_ray/config.yaml", "store: ./book2\n")
    assert machine.load().store == str(machine.repo / "book2")
    machine.environ["FLYTE_RAY_STORE"] = "here"
    assert machine.load().store == str(machine.cwd / "here")
    assert machine.load(store="gs://bucket/x").store == "gs://bucket/x"


def test_an_unknown_key_is_refused_with_file_key_and_nearest_name(machine: Machine) -> None:
    path = machine.write(machine.cwd / ".flyte_ray/config.yaml", "stoer: /x\n")
    with pytest.raises(UsageError) as caught:
        machine.load()
    assert all(part in str(caught.value) for part in (str(path), "'stoer'", "'store'"))


def test_a_value_that_does_not_fit_names_its_source_and_key(machine: Machine) -> None:
    machine.environ["FLYTE_RAY_MAX_ACTION_CONCURRENCY"] = "1"
    with pytest.raises(ConfigurationError) as caught:
        machine.load()
    assert "environment FLYTE_RAY_MAX_ACTION_CONCURRENCY" in str(caught.value)
    assert "cannot be '1'" in str(caught.value)


def test_a_broken_file_is_named(machine: Machine) -> None:
    path = machine.write(machine.cwd / ".flyte_ray/config.yaml", "store: [\n")
    with pytest.raises(ConfigurationError, match="no valid YAML") as caught:
        machine.load()
    assert str(path) in str(caught.value)


def test_a_file_of_flyte_is_read_and_its_sections_passed_over(machine: Machine) -> None:
    path = machine.write(
        machine.cwd / "config.yaml",
        "admin:\n  endpoint: dns:///x\n  insecure: true\n"
        "image:\n  builder: local\n"
        "task:\n  project: flytesnacks\n  domain: development\n  org: o\n"
        "ray:\n  address: auto\n",
    )
    settings = machine.load(path)
    assert (settings.project, settings.domain) == ("flytesnacks", "development")
    assert settings.address == "auto"


def test_flytes_files_give_project_and_domain_after_everything_of_ours(machine: Machine) -> None:
    task = "admin: {{}}\ntask:\n  project: {}\n  domain: development\nanything: goes\n"
    machine.write(machine.home / ".flyte/config.yaml", task.format("at-home"))
    assert machine.load().project == "at-home"
    named = machine.write(machine.home / "elsewhere.yaml", task.format("named"))
    machine.environ["FLYTECTL_CONFIG"] = str(named)
    assert machine.load().project == "named"
    machine.write(machine.repo / ".flyte/config.yaml", task.format("repository"))
    assert (machine.load().project, machine.load().domain) == ("repository", "development")
    machine.write(machine.home / ".flyte_ray/config.yaml", "project: ours\n")
    assert machine.load().project == "ours"


@pytest.mark.parametrize(
    "text",
    ["store: [\n", "- a list\n", "store: /x\nproject: p\n", "task: {project: p}\nray: {a: 1}\n"],
)
def test_a_configuration_of_something_else_is_passed_over(machine: Machine, text: str) -> None:
    machine.write(machine.cwd / "config.yaml", text)
    assert machine.load().project is None
    assert machine.load().store == str(machine.home / ".flyte_ray" / "store")


def test_a_named_file_that_is_missing_is_an_error_with_flytes_code(machine: Machine) -> None:
    with pytest.raises(InitializationError) as caught:
        machine.load("nowhere.yaml")
    assert caught.value.code == "ConfigFileNotFoundError"
    assert "nowhere.yaml" in str(caught.value)


def test_names_known_from_ray_and_flyte_count_after_our_own(machine: Machine) -> None:
    machine.environ |= {"RAY_ADDRESS": "10.0.0.1:6379", "LOG_LEVEL": "debug"}
    settings = machine.load()
    assert (settings.address, settings.log_level) == ("10.0.0.1:6379", "DEBUG")
    machine.environ["FLYTE_RAY_ADDRESS"] = "auto"
    assert machine.load().address == "auto"


def test_shared_variables_meant_for_others_are_passed_over(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.environ |= {"LOG_FORMAT": "logfmt"}
    with caplog.at_level(logging.WARNING, "flyte_ray"):
        assert machine.load().log_format == "console"
    assert "LOG_FORMAT" in caplog.text


def test_a_near_miss_in_the_environment_is_warned_of(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.environ |= {"FLYTE_RAY_NAMESPCE": "x", "FLYTE_RAY_SOAK_S": "5"}
    with caplog.at_level(logging.WARNING, "flyte_ray"):
        machine.load()
    assert "FLYTE_RAY_NAMESPCE" in caplog.text
    assert "SOAK" not in caplog.text


def test_settings_that_are_not_given_are_not_set(machine: Machine) -> None:
    machine.environ["FLYTE_RAY_PROJECT"] = "p"
    assert machine.load(project=None).project == "p"


def test_images_is_a_word_of_ours_and_a_section_of_flytes(machine: Machine) -> None:
    own = machine.repo / ".flyte_ray" / "config.yaml"
    machine.write(own, "images: record\n")
    assert machine.load().images == "record"
    machine.write(own, "images:\n  base: ghcr.io/me/base:1\n")
    assert machine.load().images is None


def test_a_relative_raw_data_path_is_relative_to_the_folder_the_file_speaks_for(
    machine: Machine,
) -> None:
    machine.write(machine.repo / ".flyte_ray" / "config.yaml", "raw_data_path: ./raw\n")
    assert machine.load().raw_data_path == str(machine.repo / "raw")
