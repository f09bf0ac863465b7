"""Gather the figures into a table, train a classifier on most of it, test it on the rest.

Everything is seeded or follows from the content, so the same files give the same model.
"""

import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import joblib
import numpy as np
import pyarrow as pa
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

import flyte_ray as flyte
from source_miner.analyse import Figures
from source_miner.discover import Source, label, rank
from source_miner.environment import env

MEASURED = tuple(field.name for field in fields(Figures) if field.name not in {"status", "detail"})
FEATURES = (*MEASURED, *(f"{name}_per_line" for name in MEASURED if name != "lines"))
TEST_SHARE = 0.25


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A trained model and what it looks at."""

    model: flyte.io.File
    """A scikit-learn classifier, written by joblib."""
    train_files: int
    importances: dict[str, float]
    """Feature -> share in the model's decisions, the most telling first."""


@dataclass(frozen=True, kw_only=True)
class PackageScore:
    """How well the files of one package are recognised."""

    package: str
    precision: float
    recall: float
    f1: float
    test_files: int


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How good the model is on files that it has not seen."""

    accuracy: float
    baseline: float
    """Accuracy of always guessing the most frequent package."""
    test_files: int
    packages: list[PackageScore]
    confusion: list[list[int]]
    """Rows: where files come from; columns: what the model says; both in `packages`' order."""


@env.task
def tabulate(sources: list[Source], figures: list[Figures]) -> pa.Table:
    """Put all figures into one table: a row per file, columns package, path, digest, figures."""
    rows = [
        {"package": label(source.package), "path": source.path, "digest": source.digest}
        | asdict(found)
        for source, found in zip(sources, figures, strict=True)
    ]
    return pa.Table.from_pylist(rows)


@env.task
def train(table: pa.Table, seed: int) -> Fitted:
    """Fit the classifier on the files that are not held out."""
    seen, _ = split(table)
    packages = seen["package"].to_pylist()
    if len(set(packages)) < 2:
        raise ValueError(
            "there are files of fewer than two packages to learn from; raise the limit"
        )
    forest = ExtraTreesClassifier(n_estimators=300, min_samples_leaf=2, random_state=seed)
    forest.fit(feature_matrix(seen), packages)
    by_weight = sorted(zip(forest.feature_importances_, FEATURES, strict=True), reverse=True)
    # The file outlives this block in a place of its own: it may be uploaded after the task ends.
    path = Path(tempfile.mkdtemp()) / "model.joblib"
    joblib.dump(forest, path, compress=3)
    return Fitted(
        model=flyte.io.File.from_local_sync(str(path)),
        train_files=seen.num_rows,
        importances={name: round(float(weight), 6) for weight, name in by_weight},
    )


@env.task
def evaluate(table: pa.Table, model: flyte.io.File) -> Scores:
    """Let the model guess the packages of the files that were held out."""
    _, unseen = split(table)
    truth = unseen["package"].to_pylist()
    forest = joblib.load(model.download_sync())
    guesses = forest.predict(feature_matrix(unseen)).tolist()
    return score(truth, guesses)


def split(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Part the readable files into (to train on, held out), every package alike.

    A file's side follows from the rank of its path, so one changed file moves no other.
    """
    rows = table.select(["package", "path", "status"]).to_pylist()
    ranked: dict[str, list[tuple[str, int]]] = {}
    for position, row in enumerate(rows):
        if row["status"] == "ok":
            ranked.setdefault(row["package"], []).append((rank(row["path"]), position))
    seen: list[int] = []
    unseen: list[int] = []
    for members in ranked.values():
        positions = [position for _, position in sorted(members)]
        held_out = max(1, round(len(positions) * TEST_SHARE)) if len(positions) > 1 else 0
        unseen += positions[:held_out]
        seen += positions[held_out:]
    return table.take(sorted(seen)), table.take(sorted(unseen))


def feature_matrix(table: pa.Table) -> np.ndarray:
    """One row per file, one column per name in FEATURES: the figures as they are, and per line."""
    counts = np.column_stack([table[name].to_numpy().astype(np.float64) for name in MEASURED])
    per_line = counts / np.maximum(counts[:, [MEASURED.index("lines")]], 1.0)
    return np.hstack([counts, np.delete(per_line, MEASURED.index("lines"), axis=1)])


def score(truth: list[str], guesses: list[str]) -> Scores:
    """Compare what files are with what the model said."""
    if not truth:
        raise ValueError("no file is left to test on; raise the limit")
    names = sorted({*truth, *guesses})
    columns = precision_recall_fscore_support(truth, guesses, labels=names, zero_division=0.0)
    return Scores(
        accuracy=sum(map(str.__eq__, truth, guesses)) / len(truth),
        baseline=max(truth.count(name) for name in names) / len(truth),
        test_files=len(truth),
        packages=[
            PackageScore(
                package=name, precision=precision, recall=recall, f1=f1, test_files=support
            )
            for name, precision, recall, f1, support in zip(
                names, *(column.tolist() for column in columns), strict=True
            )
        ],
        confusion=confusion_matrix(truth, guesses, labels=names).tolist(),
    )
