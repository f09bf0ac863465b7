"""The main example's own functions, called as plain Python: outside a run a task is just that."""

import asyncio
import hashlib
import warnings
from dataclasses import astuple
from pathlib import Path

import pyarrow as pa
import pyarrow.compute
import pytest
from source_miner import fault, learn, publish
from source_miner.analyse import Figures, analyse, measure
from source_miner.discover import (
    PACKAGES,
    Source,
    discover,
    list_sources,
    locate,
    snapshot_of,
)
from source_miner.workflow import mine

SNIPPET = b'''# licence
"""A module."""
import os
from . import sibling

class Stork(object):
    """A bird."""

    async def _fly(self, far: int) -> None:
        for step in range(far):
            await self.flap('left', "right", 1)  # both

    @property
    def wings(self):
        return 2
'''


@pytest.fixture
def packages(tmp_path: Path) -> str:
    """Three packages that differ in style, 12 files each."""
    for name, line in [
        ("quoted", "VALUE_{n} = '{n}'\n"),
        ("typed", "def f_{n}(x: int, y: int) -> int:\n    return x + y\n"),
        ("wordy", 'class C{n}:\n    """Explained at length."""\n'),
    ]:
        for n in range(12):
            path = tmp_path / name / "inner" / f"m{n}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(line.format(n=k) for k in range(n + 2)))
    return ",".join(str(tmp_path / name) for name in ("quoted", "typed", "wordy"))


def source_of(path: Path) -> Source:
    content = path.read_bytes()
    return Source(
        package=str(path.parent),
        path=path.name,
        size_bytes=len(content),
        digest=hashlib.sha256(content).hexdigest(),
    )


# ------------------------------------------------------------------------------------ discover


def test_every_package_gets_a_fair_share_of_the_limit(packages: str) -> None:
    found = list_sources(packages, 10)
    shares = [sum(each.package == name for each in found) for name in packages.split(",")]
    assert shares == [4, 3, 3]


def test_a_small_package_leaves_its_share_to_the_others(packages: str, tmp_path: Path) -> None:
    for n in range(10):
        (tmp_path / "typed" / "inner" / f"m{n}.py").unlink()
    assert len(list_sources(packages, 24)) == 24


def test_the_list_is_the_same_each_time_and_in_order(packages: str) -> None:
    found = list_sources(packages, 20)
    assert found == list_sources(packages, 20)
    assert [astuple(each)[:2] for each in found] == sorted(astuple(each)[:2] for each in found)


def test_a_new_file_moves_at_most_one_other_out(packages: str, tmp_path: Path) -> None:
    before = list_sources(packages, 20)
    (tmp_path / "wordy" / "aaa.py").write_text("new = 1\n")
    gone = set(before) - set(list_sources(packages, 20))
    assert len(gone) <= 1


def test_the_snapshot_follows_the_content(packages: str, tmp_path: Path) -> None:
    before = snapshot_of(list_sources(packages, 36))
    assert before == snapshot_of(list_sources(packages, 36))
    with (tmp_path / "wordy" / "inner" / "m3.py").open("a") as file:
        file.write("# one more line\n")
    assert before != snapshot_of(list_sources(packages, 36))


def test_discover_refuses_a_snapshot_of_other_files(packages: str) -> None:
    snapshot = snapshot_of(list_sources(packages, 12))
    assert len(discover(packages, 12, snapshot)) == 12
    with pytest.raises(ValueError, match="start a new run"):
        discover(packages, 13, snapshot)


def test_caches_and_odd_names_are_passed_over(packages: str, tmp_path: Path) -> None:
    before = list_sources(packages, 100)
    (tmp_path / "wordy" / "__pycache__").mkdir()
    (tmp_path / "wordy" / "__pycache__" / "m.py").write_text("")
    (tmp_path / "wordy" / "new\nline.py").write_text("")
    (tmp_path / "wordy" / "dangling.py").symlink_to(tmp_path / "nowhere.py")
    assert list_sources(packages, 100) == before


def test_a_file_that_cannot_be_read_is_listed_without_digest(
    packages: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "m5.py":
            raise PermissionError(path)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    unread = [each for each in list_sources(packages, 36) if not each.digest]
    assert [each.path for each in unread] == ["inner/m5.py"] * 3
    assert analyse(unread[0], 1).status == "unreadable"


def test_the_packages_of_the_demo_are_installed() -> None:
    for name in PACKAGES.split(","):
        assert locate(name).is_dir()


@pytest.mark.parametrize(
    ("packages", "limit", "named"),
    [
        ("stdlib,no_such_package", 10, "packages: 'no_such_package'"),
        ("stdlib,not-a-name", 10, "packages: 'not-a-name'"),
        ("stdlib,this", 10, "packages: 'this'"),  # A module, no package.
        ("stdlib,./no/such/folder", 10, "packages: there is no directory"),
        ("stdlib", 10, "packages: name at least two"),
        ("stdlib,stdlib", 10, "packages: name at least two"),
        ("stdlib,json", 0, "limit: must be at least 1"),
    ],
)
def test_bad_arguments_are_refused_by_name(packages: str, limit: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        list_sources(packages, limit)


# ------------------------------------------------------------------------------------- analyse


def test_a_file_is_measured() -> None:
    assert measure(SNIPPET) == Figures(
        size_bytes=len(SNIPPET),
        lines=15,
        blank_lines=3,
        longest_line=55,
        tokens=82,
        names=28,
        operators=22,
        numbers=2,
        strings=4,
        double_quoted=3,
        comments=2,
        header_comments=1,
        functions=2,
        async_functions=1,
        classes=1,
        decorators=1,
        depth=10,
        branches=1,
        calls=2,
        annotated_arguments=1,
        private_names=1,
        imports=2,
        relative_imports=1,
        docstring_share=0.5,
    )


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", "ok"),
        (b"x = 1", "ok"),
        (b"\xef\xbb\xbfx = 1\r\n", "ok"),
        ("# -*- coding: latin-1 -*-\nname = 'Gr\u00fc\u00dfe'\n".encode("latin-1"), "ok"),
        (b"name = '\xff'\n", "undecodable"),
        (b"# -*- coding: no-such-codec -*-\n", "undecodable"),
        (b"def broken(:\n", "syntax_error"),
        (b"print 'python 2'\n", "syntax_error"),
        (b"x = 1\0\n", "syntax_error"),
        (b"if x:\n        a\n    b\n", "syntax_error"),
        (b"(" * 5_000 + b")" * 5_000, "syntax_error"),
    ],
)
def test_what_cannot_be_read_is_a_finding(content: bytes, status: str) -> None:
    found = measure(content)
    assert found.status == status
    assert found.size_bytes == len(content)
    assert bool(found.detail) == (status != "ok")


def test_a_deep_file_is_measured_without_recursion() -> None:
    assert measure(b"x = " + b"-" * 150 + b"1\n").depth > 150


def test_strange_escapes_in_a_file_warn_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert measure(b"x = '\\d'\n").status == "ok"


def test_a_file_that_changed_since_it_was_listed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text("x = 1\n")
    source = source_of(path)
    assert analyse(source, 3).lines == 1
    path.write_text("x = 2\n")
    with pytest.raises(ValueError, match=r"item 3, m\.py of .* has changed"):
        analyse(source, 3)


def test_the_switch_fails_its_item_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fault.VARIABLE, "847")
    fault.fail_if_asked(846)
    with pytest.raises(ValueError, match="item 847 was told to fail"):
        fault.fail_if_asked(847)


@pytest.mark.parametrize("switch", ["", "847@some-other-run"])
def test_the_switch_spares_other_runs(switch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fault.VARIABLE, switch)
    assert fault.fail_if_asked(847) is None


# --------------------------------------------------------------------------------------- learn


def table_of(packages: str, limit: int = 36) -> pa.Table:
    sources = list_sources(packages, limit)
    return learn.tabulate(sources, [analyse(each, n) for n, each in enumerate(sources)])


def test_the_table_has_a_row_per_file_and_calls_folders_by_name(packages: str) -> None:
    table = table_of(packages)
    assert table.num_rows == 36
    assert set(table["package"].to_pylist()) == {"quoted", "typed", "wordy"}
    assert {"path", "digest", "status", *learn.MEASURED} <= set(table.column_names)


def test_the_split_keeps_every_package_on_both_sides_and_files_on_one(packages: str) -> None:
    seen, unseen = learn.split(table_of(packages))
    assert (seen.num_rows, unseen.num_rows) == (27, 9)
    assert set(seen["package"].to_pylist()) == set(unseen["package"].to_pylist())
    assert set(seen["digest"].to_pylist()).isdisjoint(unseen["digest"].to_pylist())


def test_a_changed_file_stays_on_its_side(packages: str, tmp_path: Path) -> None:
    _, before = learn.split(table_of(packages))
    for n in range(12):
        (tmp_path / "typed" / "inner" / f"m{n}.py").write_text(f"x = {n}\n")
    _, after = learn.split(table_of(packages))
    assert before.select(["package", "path"]) == after.select(["package", "path"])


def test_files_that_are_no_python_are_kept_from_the_model(packages: str, tmp_path: Path) -> None:
    (tmp_path / "typed" / "inner" / "m0.py").write_text("def broken(:\n")
    table = table_of(packages)
    seen, unseen = learn.split(table)
    assert publish.count_statuses(table) == {"ok": 35, "syntax_error": 1}
    assert seen.num_rows + unseen.num_rows == 35


def test_features_are_the_figures_and_their_density(packages: str) -> None:
    table = table_of(packages)
    matrix = learn.feature_matrix(table)
    assert matrix.shape == (36, len(learn.FEATURES))
    row = dict(zip(learn.FEATURES, matrix[0], strict=True))
    assert row["tokens_per_line"] == row["tokens"] / row["lines"]


def test_scores_compare_with_always_guessing_the_most_frequent() -> None:
    scores = learn.score(["a", "a", "a", "b"], ["a", "a", "b", "b"])
    assert (scores.accuracy, scores.baseline, scores.test_files) == (0.75, 0.75, 4)
    assert scores.confusion == [[2, 1], [0, 1]]
    assert scores.packages[1] == learn.PackageScore(
        package="b", precision=0.5, recall=1.0, f1=2 / 3, test_files=1
    )


def test_a_package_the_model_never_names_scores_nothing() -> None:
    scores = learn.score(["a", "b"], ["a", "a"])
    assert (scores.packages[1].precision, scores.packages[1].f1) == (0.0, 0.0)


def test_one_package_alone_cannot_be_learned(packages: str) -> None:
    table = table_of(packages)
    alone = table.filter(pa.compute.equal(table["package"], "typed"))
    with pytest.raises(ValueError, match="raise the limit"):
        learn.train(alone, 7)


def test_nothing_to_test_on_is_said() -> None:
    with pytest.raises(ValueError, match="raise the limit"):
        learn.score([], [])


# ------------------------------------------------------------------------------------- publish


def findings() -> tuple[pa.Table, learn.Fitted, learn.Scores]:
    rows = [
        {"package": name, "status": status, "docstring_share": 0.5}
        for name, status in [("<a>", "ok"), ("b", "ok"), ("b", "undecodable")]
    ]
    fitted = learn.Fitted(
        model=learn.flyte.io.File(path="model.joblib"),
        train_files=2,
        importances={"tokens": 0.75, "lines": 0.25},
    )
    return pa.Table.from_pylist(rows), fitted, learn.score(["<a>", "b"], ["<a>", "<a>"])


def test_the_card_names_quality_data_and_limits() -> None:
    card = publish.card(*findings())
    assert "Accuracy 0.500" in card
    assert "3 files (2 ok, 1 undecodable); 2 to train on, 2\nheld out" in card
    assert "Weakest on b (F1 0.00)" in card
    assert card.index("* tokens: 0.750") < card.index("* lines: 0.250")


def test_the_page_carries_its_plots_and_escapes_names() -> None:
    page = publish.page(*findings())
    assert page.count("data:image/png;base64,") == 3
    assert "&lt;a&gt;" in page
    assert "<td><a>" not in page
    assert "http" not in page


# ---------------------------------------------------------------------------------- as a whole


def test_the_whole_job_is_plain_python_outside_a_run(packages: str, tmp_path: Path) -> None:
    (tmp_path / "wordy" / "inner" / "m1.py").write_bytes(b"\xff\xfe\xff")
    mined = asyncio.run(mine(limit=36, packages=packages))
    assert mined.files == 36
    assert mined.statuses == {"ok": 35, "undecodable": 1}
    assert mined.accuracy > mined.baseline
    assert Path(mined.report.path).read_text().startswith("<!doctype html>")
    assert Path(mined.model.path).stat().st_size > 0
