"""How results look: tables, JSON, panels, and a run as a tree.

Pictures only; what is shown is decided by the commands. A tree of ten thousand equal actions is
one line with a count, since nobody reads ten thousand lines. Live progress is drawn by
`client/progress_view`, since `run.wait()` in a script shows the same.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from flyte_ray.client.progress import describe_seconds
from flyte_ray.client.progress_view import PHASE_MARKS, PHASE_STYLES, SHORT_ID
from flyte_ray.client.watch import silent_s
from flyte_ray.core.failure import ErrorInfo

if TYPE_CHECKING:  # pyarrow costs more than a help page may take
    from flyte_ray.store.catalog import RunRecord
    from flyte_ray.store.fold import ActionRecord

MOST_EQUAL_SIBLINGS = 20
"""More siblings of one task, group and phase are shown as one line."""

NEVER_WRAPPED = ("name", "id", "parent", "phase", "actions", "started", "took_s", "setting")
LEAST_NEEDED = ("labels", "cached", "started", "took_s", "actions", "group")
"""Columns that a narrow screen goes without, in this order."""
FOLDED_WIDTH = 16
"""Below that a column that may wrap is hard to read."""
RUN_COLUMNS = (
    "name",
    "task",
    "phase",
    "actions",
    "cached",
    "started",
    "took_s",
    "labels",
    "silent_s",
)
ACTION_COLUMNS = ("id", "task", "phase", "cached", "group", "took_s", "error")

Row = Mapping[str, Any]


# ------------------------------------------------------------------------------ rows and documents


def print_rows(
    console: Console,
    rows: Sequence[Row],
    output_format: str,
    *,
    title: str = "",
    columns: Sequence[str] = (),
) -> None:
    """Print rows that share their keys: a table, or a JSON list.

    A table has the `columns` that are named (default: all), without those in which no row says
    anything; JSON has them all.
    """
    if output_format.startswith("json"):
        print_document(console, list(rows), output_format)
        return
    simple = output_format == "table-simple"
    table = Table(
        title=None if simple or not title else title,
        title_justify="left",
        title_style="bold",
        box=None if simple else box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1 if not simple else 2, 0, 0),
        header_style="bold",
    )
    keys = [key for key in columns or (rows[0] if rows else ()) if any(row[key] for row in rows)]
    for key in fitting(keys, rows, console.width):
        table.add_column(
            key.removesuffix("_s").replace("_", " "),
            no_wrap=key in NEVER_WRAPPED,
            overflow="fold",
            justify="right" if key.endswith("_s") else "left",
        )
    for row in rows:
        table.add_row(*(_cell(key, row[key]) for key in fitting(keys, rows, console.width)))
    console.print(table)


def fitting(keys: Sequence[str], rows: Sequence[Row], width: int) -> list[str]:
    """The columns that a screen of this width has room for; first those go that say least."""
    needs = {key: _least_width(key, rows) for key in keys}
    for key in LEAST_NEEDED:
        if sum(needs.values()) + len(needs) <= width:
            break
        needs.pop(key, None)
    return list(needs)


def _least_width(key: str, rows: Sequence[Row]) -> int:
    widest = max((_cell(key, row[key]).cell_len for row in rows), default=0)
    return max(len(key), widest if key in NEVER_WRAPPED else min(widest, FOLDED_WIDTH))


def print_fields(console: Console, fields: Row) -> None:
    """Print one thing, a line per field; what says nothing is left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for key, value in fields.items():
        if value not in (None, "", {}, []):
            grid.add_row(key.removesuffix("_s").replace("_", " "), _cell(key, value))
    console.print(grid)


def print_document(console: Console, document: Any, output_format: str = "json") -> None:
    """Print plain data as JSON: indented, or on one line for `json-raw`."""
    indent = None if output_format == "json-raw" else 2
    text = json.dumps(document, indent=indent, ensure_ascii=False, default=_plain)
    # Straight to the file: a console would wrap long lines, and wrapped JSON is none.
    console.file.write(text + "\n")
    console.file.flush()


def _plain(value: Any) -> Any:
    """What JSON does not know: times, and the author's dataclasses and models."""
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)


def _cell(key: str, value: Any) -> Text:
    if value is None:
        return Text("")
    if key == "phase":
        return phase_text(value)
    if key.endswith("_s"):
        return Text(describe_seconds(value))
    if key in ("id", "parent"):
        return Text(str(value)[:SHORT_ID])
    if isinstance(value, datetime):
        return Text(f"{value.astimezone():%m-%d %H:%M:%S}")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, Mapping):
        return Text(", ".join(f"{k}={v}" for k, v in value.items() if v not in (0, None)))
    return Text(str(value))


def phase_text(phase: Any) -> Text:
    """The phase in its colour."""
    return Text(str(phase), style=PHASE_STYLES.get(phase, ""))


def run_row(record: RunRecord) -> Row:
    """One line of `get runs`."""
    total, done = _total_and_done(record.counts)
    ended_us = record.ended_us
    return {
        "name": record.name,
        "task": record.spec.task,
        "phase": record.phase,
        "actions": f"{done}/{total}",
        "cached": record.counts.get("cached", 0),
        "started": moment(record.started_us),
        "took_s": None if ended_us is None else (ended_us - record.started_us) / 1e6,
        "mode": record.spec.mode,
        "labels": dict(record.spec.labels),
        "silent_s": silent_s(record),
    }


def _total_and_done(counts: Mapping[str, int]) -> tuple[int, int]:
    """Counts folded from a book have a total and cached among the successes; a run's own do not."""
    done = sum(counts.get(phase.value, 0) for phase in PHASE_MARKS if phase.is_terminal)
    if "total" in counts:
        return counts["total"], done
    return sum(counts.values()), done + counts.get("cached", 0)


def action_row(record: ActionRecord) -> Row:
    """One action in `get actions -o json`, and in a filtered list."""
    return {
        "id": record.action_id,
        "parent": record.parent_id,
        "task": record.task,
        "kind": record.kind,
        "phase": record.phase,
        "cached": record.cached,
        "group": record.group,
        "attempts": len(record.attempts),
        "started": moment(record.started_us),
        "took_s": took_s(record),
        "error": failure_line(record.error),
    }


def moment(at_us: int | None) -> datetime | None:
    """Recorded microseconds as a time."""
    return datetime.fromtimestamp(at_us / 1e6, UTC) if at_us else None


def took_s(record: ActionRecord) -> float | None:
    """Seconds from the first attempt's start to the end."""
    if record.started_us is None or record.ended_us is None:
        return None
    return (record.ended_us - record.started_us) / 1e6


def failure_line(error: str | None) -> str | None:
    """`ValueError: item 847 is bad` of a recorded error."""
    if error is None:
        return None
    info = ErrorInfo.from_dict(json.loads(error))
    return f"{info.code}: {first_line(info.message)}"


def traceback_of(error: str) -> str:
    """The traceback of a recorded error, else its code and message."""
    info = ErrorInfo.from_dict(json.loads(error))
    return info.traceback.rstrip() or f"{info.code}: {info.message}"


def first_line(text: str) -> str:
    """The first line that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


# ------------------------------------------------------------------------------------------ panels


def error_panel(message: str, title: str = "Error") -> Panel:
    """What went wrong, in a frame."""
    return Panel(
        Text(message), title=Text(title, style="bold red"), title_align="left", style="red"
    )


# -------------------------------------------------------------------------------------------- tree


def action_tree(
    record: RunRecord, actions: Sequence[ActionRecord], *, everything: bool = False
) -> RenderableType:
    """A run as a tree; many equal siblings are one line unless `everything` is asked for."""
    children: dict[str | None, list[ActionRecord]] = defaultdict(list)
    known = {action.action_id for action in actions}
    for action in actions:
        # A parent whose rows are not stored yet: its children are shown at the top.
        children[action.parent_id if action.parent_id in known else None].append(action)
    head = Text.assemble((record.name, "bold"), "  ", phase_text(record.phase))
    if not actions:
        return Group(head, Text("  nothing recorded yet", style="dim"))
    tree = Tree(head, guide_style="dim")
    _grow(tree, children, None, MOST_EQUAL_SIBLINGS if not everything else len(actions))
    return tree


def _grow(
    tree: Tree,
    children: Mapping[str | None, Sequence[ActionRecord]],
    parent: str | None,
    most: int,
) -> None:
    kinds: dict[tuple[Any, ...], list[ActionRecord]] = defaultdict(list)
    for action in children.get(parent, ()):
        kinds[(action.name, action.group, action.phase, action.cached)].append(action)
    for alike in kinds.values():
        if len(alike) > most:
            tree.add(_count_text(alike))
            continue
        for action in alike:
            _grow(tree.add(_action_text(action)), children, action.action_id, most)


def _action_text(action: ActionRecord) -> Text:
    text = _head_text(action)
    text.append(f"  {action.action_id[:SHORT_ID]}", style="dim")
    seconds = took_s(action)
    if seconds is not None:
        text.append(f"  {describe_seconds(seconds)}")
    if len(action.attempts) > 1:
        text.append(f"  {len(action.attempts)} attempts", style="yellow")
    text.append_text(_remarks(action))
    problem = failure_line(action.error)
    if problem is not None:
        text.append(f"  {problem}", style="red")
    return text


def _count_text(alike: Sequence[ActionRecord]) -> Text:
    text = _head_text(alike[0])
    text.append(f"  {len(alike)} {alike[0].phase}")
    text.append_text(_remarks(alike[0]))
    return text


def _head_text(action: ActionRecord) -> Text:
    style = PHASE_STYLES[action.phase]
    name = action.name if action.kind == "task" else f"{action.name} ({action.kind})"
    return Text.assemble((f"{PHASE_MARKS[action.phase]} ", style), (name, "bold"))


def _remarks(action: ActionRecord) -> Text:
    text = Text()
    if action.cached:
        text.append("  cached", style="cyan")
    if action.phase == "recovered":
        text.append("  recovered", style="cyan")
    if action.group is not None:
        text.append(f"  [{action.group}]", style="magenta")
    return text
