"""Images as something a worker without containers can have."""

from __future__ import annotations

import json
from pathlib import Path

from flyte_ray.core.image import Image
from flyte_ray.engine.images import resolved


def test_packages_of_all_sources_become_one_environment(tmp_path: Path) -> None:
    (tmp_path / "req.txt").write_text("# remark\nrich>=13  # pretty\n\nattrs\n")
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["httpx", "rich>=13"]\n')
    (tmp_path / "poetry.toml").write_text(
        '[tool.poetry.dependencies]\npython = "^3.11"\nclick = "^8.1"\n'
        'attrs = "*"\nanyio = "~4.2.1"\n'
    )
    script = '# /// script\n# dependencies = [\n#   "tqdm<5",\n# ]\n# ///\nprint(1)\n'
    (tmp_path / "script.py").write_text(script)
    image = (
        Image.from_uv_script(tmp_path / "script.py", name="x")
        .with_pip_packages("numpy==2", pre=True, index_url="https://index.example/simple")
        .with_requirements(tmp_path / "req.txt")
        .with_uv_project(tmp_path / "pyproject.toml")
        .with_poetry_project(tmp_path / "poetry.toml")
        .with_env_vars({"MODE": "fast"})
    )
    found = resolved(image)
    wanted = ["numpy==2", "rich>=13", "attrs", "httpx", "click>=8.1,<9", "anyio>=4.2.1,<4.3"]
    assert found.environment() == {
        "uv": {
            "packages": [*wanted, "tqdm<5"],
            "uv_pip_install_options": ["--index-url", "https://index.example/simple", "--pre"],
        }
    }
    assert found.env_vars == (("MODE", "fast"),)
    assert found.remarks == ()


def test_a_container_goes_with_nothing_else() -> None:
    assert resolved("repo/image:1").environment() == {"image_uri": "repo/image:1"}
    assert resolved("auto").environment() == {}
    base = Image.from_base("repo/base:2").clone(name="n", extendable=True).with_pip_packages("a")
    found = resolved(base)
    assert found.environment() == {"image_uri": "repo/base:2"}
    assert "must be in repo/base:2" in found.remarks[0]


def test_what_has_no_effect_is_said(tmp_path: Path) -> None:
    image = (
        Image.from_debian_base()
        .with_apt_packages("git")
        .with_commands(["make"])
        .with_workdir("/srv")
        .with_requirements(tmp_path / "gone.txt")
        .with_pixi_project(tmp_path / "pixi.toml")
        .with_source_folder(tmp_path)
    )
    said = " | ".join(resolved(image).remarks)
    for text in (
        "git",
        "build commands",
        "/srv",
        "gone.txt could not be read",
        "pixi",
        "SourceCopy",
    ):
        assert text in said


def test_the_record_names_variables_without_their_values() -> None:
    image = Image.from_debian_base().with_env_vars({"A": "hidden"}).with_pip_packages("x")
    text = json.dumps(resolved(image).to_json())
    assert "hidden" not in text
    assert json.loads(text)["env_vars"] == ["A"]
    assert json.loads(text)["packages"] == ["x"]
