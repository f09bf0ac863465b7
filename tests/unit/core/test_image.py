"""Image: an immutable builder whose every method chains."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import pytest

from flyte_ray.core.image import Image
from flyte_ray.core.image_layers import PackageSource, PipPackages, Workdir
from flyte_ray.core.secret import Secret

LAYERS: dict[str, Callable[[Image], Image]] = {
    "pip": lambda i: i.with_pip_packages("numpy", "pandas>=2"),
    "pip options": lambda i: i.with_pip_packages(
        "numpy",
        index_url="https://i.example",
        extra_index_urls=["https://e.example"],
        pre=True,
        extra_args="--no-deps",
        secret_mounts=["token"],
    ),
    "requirements": lambda i: i.with_requirements("requirements.txt"),
    "uv": lambda i: i.with_uv_project("pyproject.toml", "uv.lock", pre=True),
    "poetry": lambda i: i.with_poetry_project(
        "pyproject.toml", project_install_mode="install_project"
    ),
    "pixi": lambda i: i.with_pixi_project("pixi.toml"),
    "apt": lambda i: i.with_apt_packages("git", "curl"),
    "commands": lambda i: i.with_commands(["make", "make install"]),
    "env": lambda i: i.with_env_vars({"A": "1"}),
    "folder": lambda i: i.with_source_folder("src", "/app", copy_contents_only=True),
    "file": lambda i: i.with_source_file("a.txt"),
    "bundle": lambda i: i.with_code_bundle(),
    "workdir": lambda i: i.with_workdir("/work"),
    "dockerignore": lambda i: i.with_dockerignore(".dockerignore"),
    "local": lambda i: i.with_local_v2(),
}

STARTS: dict[str, Callable[[], Image]] = {
    "debian": Image.from_debian_base,
    "debian options": lambda: Image.from_debian_base(
        (3, 12), name="n", registry="r", platform="linux/amd64"
    ),
    "base": lambda: Image.from_base("python:3.12"),
    "dockerfile": lambda: Image.from_dockerfile("Dockerfile", "r", "n", ["linux/amd64"]),
    "uv script": lambda: Image.from_uv_script("job.py", name="n", pre=True),
    "pixi script": lambda: Image.from_pixi_script("job.py", name="n"),
    "ref": lambda: Image.from_ref_name("gpu"),
}


@pytest.mark.parametrize("add", LAYERS.values(), ids=LAYERS)
def test_each_layer_makes_another_image_and_leaves_the_first(add: Callable[[Image], Image]) -> None:
    plain = Image.from_debian_base()
    image = add(plain)

    assert plain.layers == ()
    assert len(image.layers) == 1
    assert image != plain
    assert image.uri != plain.uri


@pytest.mark.parametrize("add", LAYERS.values(), ids=LAYERS)
def test_image_can_be_a_key_and_travels(add: Callable[[Image], Image]) -> None:
    image = add(Image.from_debian_base())
    arrived = pickle.loads(pickle.dumps(image))
    assert {image: 1}[arrived] == 1
    assert arrived.uri == image.uri


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_each_start_gives_an_image_with_a_uri(start: Callable[[], Image]) -> None:
    image = start()
    assert image.uri
    assert pickle.loads(pickle.dumps(image)) == image


def test_layers_chain_in_order() -> None:
    image = Image.from_debian_base()
    for add in LAYERS.values():
        image = add(image)
    assert len(image.layers) == len(LAYERS)
    assert isinstance(image.layers[0], PipPackages)


def test_direct_construction_is_refused_with_the_remedy() -> None:
    with pytest.raises(TypeError, match="from_debian_base"):
        Image("python:3.12")


@pytest.mark.parametrize("start", ["base", "dockerfile", "ref"])
def test_ready_images_take_no_layers_until_cloned(start: str) -> None:
    image = STARTS[start]()
    with pytest.raises(ValueError, match="clone"):
        image.with_pip_packages("numpy")
    extended = image.clone(name="mine", registry="r", extendable=True).with_pip_packages("numpy")
    assert extended.pip_packages == ("numpy",)
    assert extended.uri.startswith("r/mine:")


def test_clone_changes_what_is_named_and_keeps_the_rest() -> None:
    image = Image.from_debian_base((3, 11), name="a").with_workdir("/a")
    clone = image.clone(name="b", platform="linux/arm64", addl_layer=Workdir("/b"))
    assert (clone.name, clone.platform, clone.python_version) == ("b", ("linux/arm64",), (3, 11))
    assert clone.workdir == "/b"
    with pytest.raises(TypeError, match="colour"):
        image.clone(colour="red")


def test_base_image_is_its_own_uri_and_container() -> None:
    image = Image.from_base("repo/x:1")
    assert image.uri == image.container_uri == "repo/x:1"
    assert Image.from_debian_base().container_uri is None


def test_equal_descriptions_have_equal_uris() -> None:
    one = Image.from_debian_base().with_env_vars({"A": "1", "B": "2"})
    other = Image.from_debian_base().with_env_vars({"B": "2", "A": "1"})
    assert one.uri == other.uri


def test_what_a_worker_needs_is_gathered_over_all_layers() -> None:
    image = (
        Image.from_debian_base()
        .with_pip_packages("a", index_url="https://i.example")
        .with_pip_packages("b", "c", index_url="https://i.example")
        .with_requirements("r.txt", pre=True)
        .with_env_vars({"A": "1", "B": "1"})
        .with_env_vars({"B": "2"})
        .with_workdir("/x")
        .with_workdir("/y")
        .with_uv_project("pyproject.toml")
    )
    assert image.pip_packages == ("a", "b", "c")
    assert image.installer_arguments == ("--index-url", "https://i.example", "--pre")
    assert image.requirement_files == (PurePath("r.txt"),)
    assert image.env_vars == {"A": "1", "B": "2"}
    assert image.workdir == "/y"
    assert [project.tool for project in image.projects] == ["uv"]
    assert image.scripts == ()


def test_what_only_a_container_can_do_is_said() -> None:
    image = Image.from_debian_base().with_apt_packages("git", "curl").with_commands(["make"])
    assert image.container_only == ("apt packages git, curl", "build commands")
    assert STARTS["dockerfile"]().container_only == ("a Dockerfile",)
    assert LAYERS["pip"](Image.from_debian_base()).container_only == ()


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda i: i.with_pip_packages("a", colour=1), TypeError, "colour"),
        (lambda i: i.with_commands("make"), TypeError, "list"),
        (lambda i: i.with_uv_project("p", project_install_mode="all"), ValueError, "mode"),
        (lambda i: i.with_pip_packages("a", secret_mounts=5), TypeError, "secrets"),
    ],
)
def test_wrong_layers_are_refused(make: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        make(Image.from_debian_base())


def test_package_source_normalises_its_options() -> None:
    source = PackageSource.from_options(
        {"extra_index_urls": "https://e.example", "extra_args": "--a --b", "secret_mounts": "t"}
    )
    assert source.extra_index_urls == ("https://e.example",)
    assert source.secret_mounts == (Secret("t"),)
    assert source.installer_arguments() == ("--extra-index-url", "https://e.example", "--a", "--b")
