"""Files that name packages, as authors have them: what is installed of them, and what is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyte_ray.core.image import Image
from flyte_ray.engine.images import resolved
from flyte_ray.engine.package_lists import of_project, of_requirements, of_script


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_compiled_requirements_lose_their_hashes_and_say_so(file: Path) -> None:
    file.write_text(
        "numpy==1.26.4 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via -r in.txt\n"
        "attrs==25.1 ; python_version < '3.13' --hash=sha256:cc  # pinned\n"
    )
    packages, remarks = of_requirements(file)
    assert packages == ["numpy==1.26.4", "attrs==25.1 ; python_version < '3.13'"]
    assert remarks == [f"option --hash of {file}"]


def test_requirements_of_requirements_are_followed_once(file: Path) -> None:
    (file.parent / "more").mkdir()
    (file.parent / "more" / "base.txt").write_text("-r ../file\n-rgone.txt\nrich\n")
    file.write_text("-r more/base.txt\n--requirement=more/base.txt\nattrs\n")
    packages, remarks = of_requirements(file)
    assert packages == ["rich", "rich", "attrs"]
    (remark,) = remarks
    assert remark.endswith("more/gone.txt could not be read: No such file or directory")


def test_options_are_named_without_their_values(file: Path) -> None:
    file.write_text(
        "--index-url https://me:hidden@index.example\n-r https://me:hidden@a.example/r.txt\n"
        "-c limits.txt\n-e ./mylib\n./other\nrich\n"
    )
    packages, remarks = of_requirements(file)
    assert packages == ["rich"]
    names = ["option --index-url", "option -r", "option -c", "option -e", "./other"]
    assert remarks == [f"{name} of {file}" for name in names]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ('"*"', "foo"),
        ('"1.2"', "foo==1.2"),
        ('"1.2.*"', "foo==1.2.*"),
        ('"^0.2.3"', "foo>=0.2.3,<0.3"),
        ('"^1.2rc1"', "foo>=1.2rc1,<2"),
        ('"~1.2.3"', "foo>=1.2.3,<1.3"),
        ('"^1.0, !=1.3"', "foo>=1.0,<2,!=1.3"),
        ('{version = ">=1", extras = ["a", "b"]}', "foo[a,b]>=1"),
        (
            '{version = "1", python = "^3.11"}',
            "foo==1; (python_full_version >= '3.11' and python_full_version < '4')",
        ),
        (
            '{version = "1", python = "3.9 || >3.10", markers = "os_name == \'nt\'"}',
            "foo==1; (os_name == 'nt') and "
            "(python_full_version == '3.9.*' or python_full_version > '3.10')",
        ),
    ],
)
def test_a_wish_to_poetry_becomes_a_standard_one(file: Path, wish: str, expected: str) -> None:
    file.write_text(f'[tool.poetry.dependencies]\npython = "^3.11"\nfoo = {wish}\n')
    assert of_project(file) == ([expected], [])


def test_each_of_several_constraints_holds_where_it_says(file: Path) -> None:
    file.write_text(
        "[tool.poetry.dependencies]\n"
        'foo = [{version="^1.0", python="<3.12"}, {version="^2.0", python=">=3.12"}]\n'
    )
    assert of_project(file)[0] == [
        "foo>=1.0,<2; (python_full_version < '3.12')",
        "foo>=2.0,<3; (python_full_version >= '3.12')",
    ]


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ('{path = "../foo", develop = true}', "it comes from a path"),
        ('{git = "https://git.example/foo"}', "it comes from a git"),
        ('{url = "https://files.example/foo.whl"}', "it comes from a url"),
        ('{version = "1.0", optional = true}', "it is optional"),
        ('""', "the version '' could not be understood"),
        ('"1 || 2"', "the version '1 || 2' could not be understood"),
    ],
)
def test_what_the_index_may_not_be_asked_for_is_left_out(file: Path, wish: str, why: str) -> None:
    file.write_text(f'[tool.poetry.dependencies]\nfoo = {wish}\nrich = "*"\n')
    assert of_project(file) == (["rich"], [f"foo of {file}: {why}"])


def test_sources_of_uv_are_not_looked_for_in_the_index(file: Path) -> None:
    sources = 'My_Lib = {path = "../mylib"}\nother = [{git = "https://g.example"}]\n'
    file.write_text(
        '[project]\ndependencies = ["my-lib>=1", "other", "rich"]\n'
        f"[tool.uv.sources]\n{sources}rich = {{index = 'ours'}}\n"
    )
    remarks = [
        f"my-lib>=1 of {file}: it comes from a path",
        f"other of {file}: it comes from a git",
    ]
    assert of_project(file) == (["rich"], remarks)
    file.write_text(
        '# /// script\n# dependencies = ["a"]\n# [tool.uv.sources]\n# a.url = "x"\n# ///\n'
    )
    assert of_script(file) == ([], [f"a of {file}: it comes from a url"])


@pytest.mark.parametrize(
    "text", ["[tool]\npoetry = 1\n", "project = []\n", "[project]\ndependencies = [1]\n", "\x00"]
)
def test_a_file_that_makes_no_sense_ends_no_run(file: Path, text: str) -> None:
    file.write_text(text)
    (remark,) = resolved(Image.from_debian_base().with_uv_project(file)).remarks
    assert remark.startswith(f"{file} could not be understood: ")
