"""Write down what was learned: a model card in Markdown and a report in HTML with its plots inside.

Plots are drawn on `Figure` objects and never through pyplot, which keeps one global state.
"""

import base64
import html
import io
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from matplotlib.figure import Figure

import flyte_ray as flyte
from source_miner.environment import env
from source_miner.learn import Fitted, Scores

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:right}"
    "td:first-child,th:first-child{text-align:left}tr:nth-child(even){background:#f3f3f3}"
    "img{max-width:100%}"
)


@dataclass(frozen=True, kw_only=True)
class Mined:
    """What the run leaves behind."""

    files: int
    statuses: dict[str, int]
    accuracy: float
    baseline: float
    model: flyte.io.File
    card: flyte.io.File
    report: flyte.io.File


@env.task
def write_card(table: pa.Table, fitted: Fitted, scores: Scores) -> flyte.io.File:
    """Write the model card: what the model is for, how good it is, where it fails."""
    return _file("MODEL_CARD.md", card(table, fitted, scores))


@env.task
def write_report(table: pa.Table, fitted: Fitted, scores: Scores) -> flyte.io.File:
    """Write the report: one HTML file with tables and plots that needs nothing beside it."""
    return _file("report.html", page(table, fitted, scores))


def card(table: pa.Table, fitted: Fitted, scores: Scores) -> str:
    """Compose the model card as Markdown."""
    weakest = min(scores.packages, key=lambda each: each.f1)
    statuses = ", ".join(f"{count} {status}" for status, count in count_statuses(table).items())
    rows = "\n".join(
        f"| {each.package} | {each.precision:.2f} | {each.recall:.2f} | {each.f1:.2f} "
        f"| {each.test_files} |"
        for each in scores.packages
    )
    telling = "\n".join(f"* {name}: {weight:.3f}" for name, weight in _top(fitted.importances))
    return f"""# Which package does this file come from?

**What it does.** Guesses the package of a Python file from its shape alone: sizes, token counts and
figures of the syntax tree, no names. Extremely randomised trees (scikit-learn), fixed seed.

**Data.** {table.num_rows} files ({statuses}); {fitted.train_files} to train on, {scores.test_files}
held out, chosen by a digest of their path.

**Quality.** Accuracy {scores.accuracy:.3f} on files it had not seen; always guessing the most
frequent package gives {scores.baseline:.3f}.

| package | precision | recall | F1 | held-out files |
|---|---|---|---|---|
{rows}

**Limits.** Weakest on {weakest.package} (F1 {weakest.f1:.2f}). It knows these packages only and
answers with one of them whatever it is shown. An example, not a tool.

**What it looks at most**

{telling}
"""


def page(table: pa.Table, fitted: Fitted, scores: Scores) -> str:
    """Compose the report as one HTML page."""
    rows = "".join(
        f"<tr><td>{html.escape(each.package)}</td><td>{each.precision:.2f}</td>"
        f"<td>{each.recall:.2f}</td><td>{each.f1:.2f}</td><td>{each.test_files}</td></tr>"
        for each in scores.packages
    )
    plots = (plot_confusion(scores), plot_importances(fitted), plot_docstrings(table))
    images = "".join(f'<p><img alt="" src="{image(plot)}"></p>' for plot in plots)
    statuses = ", ".join(f"{count} {status}" for status, count in count_statuses(table).items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Source miner</title>'
        f"<style>{STYLE}</style><h1>Which package does a file come from?</h1>"
        f"<p>{table.num_rows} files ({html.escape(statuses)}). Accuracy on {scores.test_files} "
        f"held-out files: <b>{scores.accuracy:.1%}</b> (most frequent package: "
        f"{scores.baseline:.1%}).</p><table><tr><th>package</th><th>precision</th><th>recall</th>"
        f"<th>F1</th><th>held-out files</th></tr>{rows}</table>{images}</html>\n"
    )


def count_statuses(table: pa.Table) -> dict[str, int]:
    """How many files could be read, and why others could not; the most frequent first."""
    return dict(Counter(table["status"].to_pylist()).most_common())


def plot_confusion(scores: Scores) -> Figure:
    """Where files come from (rows) against what the model says (columns)."""
    names = [each.package for each in scores.packages]
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(scores.confusion, cmap="Blues")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(title="Confusion matrix", xlabel="the model says", ylabel="the file is from")
    darkest = max(map(max, scores.confusion))
    for row, counts in enumerate(scores.confusion):
        for column, count in enumerate(counts):
            ink = "white" if count > darkest / 2 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=ink)
    return figure


def plot_importances(fitted: Fitted) -> Figure:
    """The features that the model looks at most."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    names, weights = zip(*reversed(_top(fitted.importances)), strict=True)
    axes.barh(names, weights)
    axes.set(title="Most telling features", xlabel="share in the decisions")
    return figure


def plot_docstrings(table: pa.Table) -> Figure:
    """How much of each package is documented, file by file."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    shares: dict[str, list[float]] = {}
    for row in table.select(["package", "status", "docstring_share"]).to_pylist():
        if row["status"] == "ok":
            shares.setdefault(row["package"], []).append(row["docstring_share"])
    axes.boxplot(list(shares.values()), tick_labels=list(shares), showfliers=False)
    axes.tick_params("x", rotation=45)
    axes.set(title="Documented modules, classes and functions", ylabel="share of a file")
    return figure


def image(figure: Figure) -> str:
    """Draw a figure into a data URL, to stand inside the page."""
    drawn = io.BytesIO()
    # No software stamp in the file: the same figures give the same bytes.
    figure.savefig(drawn, format="png", dpi=110, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(drawn.getvalue()).decode()


def _top(importances: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(importances.items(), key=lambda pair: -pair[1])[:12]


def _file(name: str, text: str) -> flyte.io.File:
    path = Path(tempfile.mkdtemp()) / name
    path.write_text(text, encoding="utf-8")
    return flyte.io.File.from_local_sync(str(path))
