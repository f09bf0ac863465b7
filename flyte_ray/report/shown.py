"""What is logged, as HTML: texts as they are, figures, tables and images drawn.

No library is imported for it: a value is known by what it can do (matplotlib's `savefig`, plotly's
`to_html`, the `_repr_html_` of notebooks) and by its class, if that is a frame. What cannot be
drawn is shown as text, escaped. A figure that fails to be drawn fails its caller.
"""

from __future__ import annotations

import base64
import html
import importlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_ROWS = 1000
"""Of a table; more are counted."""
_PLOTLY = "plotly"
_FRAMES = ("pandas", "polars", "pyarrow")


@dataclass(frozen=True, slots=True)
class Shown:
    """A piece of a page."""

    html: str
    script: str = ""
    """The script that it needs, which the page holds once (`script_of`)."""


def shown(content: object) -> Shown:
    """A piece of HTML for whatever is logged."""
    if isinstance(content, str):
        return Shown(content)
    draw = _drawing_of(content)
    return draw() if draw is not None else Shown(f"<pre>{html.escape(str(content))}</pre>")


def script_of(name: str) -> str:
    """The element that holds a script which figures need."""
    assert name == _PLOTLY, name
    text = importlib.import_module("plotly.offline").get_plotlyjs()
    return f"<script>{text}</script>"


def _drawing_of(content: Any) -> Callable[[], Shown] | None:
    """How a value is drawn; None where nobody knows."""
    library = type(content).__module__.partition(".")[0]
    if library in _FRAMES and type(content).__name__ in ("DataFrame", "Table", "RecordBatch"):
        return lambda: Shown(_frame(content))
    if library == _PLOTLY and hasattr(content, "to_html"):
        page = {"full_html": False, "include_plotlyjs": False}
        return lambda: Shown(content.to_html(**page), _PLOTLY)
    figure = content if hasattr(content, "savefig") else getattr(content, "figure", None)
    if hasattr(figure, "savefig"):
        return lambda: Shown(_figure(figure))
    for name, made in (("_repr_html_", str), ("_repr_svg_", str), ("_repr_png_", _png)):
        method = getattr(content, name, None)
        if callable(method):
            return lambda made=made, method=method: Shown(made(method()))  # type: ignore[misc]
    if isinstance(content, Sequence) and content and all(isinstance(e, Mapping) for e in content):
        return lambda: Shown(_records(content))
    return None


def _figure(figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight", dpi=144)
    return _png(buffer.getvalue(), width=round(figure.get_size_inches()[0] * 96))


def _png(data: bytes, width: int | None = None) -> str:
    wide = f' width="{width}"' if width else ""
    return f'<img alt=""{wide} src="data:image/png;base64,{base64.b64encode(data).decode()}">'


def _frame(frame: Any) -> str:
    table = importlib.import_module("flyte_ray.codec.arrow").to_table(frame)
    head = table.slice(0, MOST_ROWS)
    columns = {field.name: field.type for field in table.schema}
    return _table(list(columns), head.to_pylist(), table.num_rows, list(map(str, columns.values())))


def _records(records: Sequence[Mapping[Any, Any]]) -> str:
    names = list(dict.fromkeys(str(name) for record in records for name in record))
    rows = [{str(k): v for k, v in record.items()} for record in records[:MOST_ROWS]]
    return _table(names, rows, len(records), None)


def _table(
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    total: int,
    types: Sequence[str] | None,
) -> str:
    numeric = {
        name
        for name in names
        if any(_is_number(row.get(name)) for row in rows)
        and all(row.get(name) is None or _is_number(row.get(name)) for row in rows)
    }
    kinds = dict(zip(names, types or [""] * len(names), strict=True))
    head = "".join(
        f"<th{_class(name in numeric)}>{html.escape(name)}"
        + (f"<br><small>{html.escape(kinds[name])}</small></th>" if types else "</th>")
        for name in names
    )
    body = "\n".join(
        f"<tr>{''.join(_cell(row.get(name), name in numeric) for name in names)}</tr>"
        for row in rows
    )
    more = f"<p><small>{len(rows)} of {total} rows</small></p>" if total > len(rows) else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>{more}"


def _cell(value: Any, is_numeric: bool) -> str:
    if value is None:
        return f'<td class="nothing{" number" if is_numeric else ""}">&ndash;</td>'
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f"<td{_class(is_numeric)}>{html.escape(text)}</td>"


def _class(is_numeric: bool) -> str:
    return ' class="number"' if is_numeric else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
