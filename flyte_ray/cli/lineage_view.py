"""Pictures of a lineage: a tree for the terminal, JSON, Graphviz, and a page of its own.

Trees end where a place has been shown before, and a hundred equal steps are one line with a count;
JSON, dot and the page have every one of them.
"""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text
from rich.tree import Tree

from flyte_ray.cli.backend import Invocation
from flyte_ray.cli.render import print_document
from flyte_ray.cli.value_text import shown, shown_element
from flyte_ray.client.explain.lineage import Graph, Link, lineage
from flyte_ray.client.explain.origins import Place
from flyte_ray.client.progress_view import SHORT_ID
from flyte_ray.client.session import current_session

MOST_SIBLINGS = 8
DEEPEST = 100
_REMARKS = {
    "control": "through the code",
    "cache": "from the cache",
    "recovered": "recovered",
}


def show(
    invocation: Invocation, reference: str, *, forward: bool, form: str | None, depth: int
) -> None:
    """Carry out `flyte-ray lineage`."""
    invocation.backend()
    graph = lineage(current_session().blobs(), reference, forward=forward)
    if form == "json" or (form is None and invocation.writes_json):
        print_document(invocation.out, document(graph), invocation.options.output_format)
    elif form in ("dot", "html"):
        text = dot(graph) if form == "dot" else page(graph, reference)
        invocation.out.file.write(text)
    else:
        for start in graph.starts:
            invocation.out.print(tree(graph, start, min(depth, DEEPEST)))


# ------------------------------------------------------------------------------------------- tree


def tree(graph: Graph, start: Place, depth: int = DEEPEST) -> Tree:
    """The walk from one place as a tree."""
    drawn: set[Place] = set()
    root = Tree(_label(graph, start, None), guide_style="dim")
    _grow(graph, root, start, drawn, depth)
    return root


def _grow(graph: Graph, branch: Tree, place: Place, drawn: set[Place], depth: int) -> None:
    drawn.add(place)
    if depth <= 0:
        if graph.links.get(place):
            branch.add(Text("… deeper: --depth", style="dim"))
        return
    for links in _alike(graph, graph.links.get(place, ())):
        for link in links[:MOST_SIBLINGS]:
            twig = branch.add(_label(graph, link.far, link))
            if link.far not in drawn:
                _grow(graph, twig, link.far, drawn, depth - 1)
            elif graph.links.get(link.far):
                twig.label = Text.assemble(twig.label, ("  (shown above)", "dim"))  # type: ignore[arg-type]  # made by _label
        if len(links) > MOST_SIBLINGS:
            name = _task_name(graph, links[0].far)
            more = len(links) - MOST_SIBLINGS
            branch.add(Text(f"… and {more:,} more from {name}", style="dim"))


def _alike(graph: Graph, links: Sequence[Link]) -> list[list[Link]]:
    groups: dict[tuple[str, str, str], list[Link]] = defaultdict(list)
    for link in links:
        groups[link.kind, _task_name(graph, link.far), link.far.side].append(link)
    return list(groups.values())


def _label(graph: Graph, place: Place, link: Link | None) -> Text:
    text = Text()
    if link is not None and link.near.element:
        text.append(f"{link.near.element} ← ", style="magenta")
    text.append(_task_name(graph, place), style="bold")
    text.append(f".{place.name}{place.element}" if place.side == "output" else "")
    text.append(f"({place.name}{place.element})" if place.side == "input" else "")
    value = graph.values.get(place)
    element = shown_element(value, place.element) if place.element else None
    text.append(f" = {element or shown(value)}")
    if place.element and element is None:
        text.append(f" at {place.element}", style="dim")
    home = f"{place.run}/" if link is None or link.near.run != place.run else ""
    text.append(f"  {home}{place.action[:SHORT_ID]}", style="dim")
    remark = _REMARKS.get(link.kind) if link is not None else None
    if remark:
        text.append(f"  {remark}", style="cyan")
    text.append(_code(graph, place), style="dim")
    return text


def _code(graph: Graph, place: Place) -> str:
    """Which code made an output."""
    action = graph.actions.get((place.run, place.action))
    if place.side == "input" or action is None or not action.identity:
        return ""
    address = action.attrs.get("address") or {}
    where = address.get("file") or address.get("module") or ""
    return f"  code {action.identity[:8]}{' in ' + where if where else ''}"


def _task_name(graph: Graph, place: Place) -> str:
    action = graph.actions.get((place.run, place.action))
    return action.name if action is not None else f"{place.run}/{place.action[:SHORT_ID]}"


# ---------------------------------------------------------------------------------------- documents


def document(graph: Graph) -> dict[str, Any]:
    """The whole walk as plain data; edges run from source to target, whatever the direction."""
    return {
        "direction": "forward" if graph.forward else "back",
        "starts": [str(place) for place in graph.starts],
        "nodes": [_node(graph, place) for place in graph.links],
        "edges": [
            {"kind": kind, "from": str(source), "to": str(target)}
            for kind, source, target in graph.edges()
        ],
    }


def _node(graph: Graph, place: Place) -> dict[str, Any]:
    value = graph.values.get(place)
    action = graph.actions.get((place.run, place.action))
    return {
        "id": str(place),
        "run": place.run,
        "action": place.action,
        "task": action.task if action is not None else None,
        "identity": action.identity if action is not None else None,
        "side": place.side,
        "name": place.name,
        "element": place.element,
        "type": value.type if value is not None else None,
        "digest": value.digest if value is not None else None,
        "size_bytes": value.size_bytes if value is not None else None,
        "key": value.key if value is not None else None,
        "value": shown(value),
    }


def dot(graph: Graph) -> str:
    """Graphviz: one box per value, arrows in the direction of the data."""
    names = {place: f"n{number}" for number, place in enumerate(graph.links)}
    lines = ["digraph lineage {", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif"];']
    for place, name in names.items():
        side = f".{place.name}" if place.side == "output" else f"({place.name})"
        text = f"{_task_name(graph, place)}{side}{place.element}\n{shown(graph.values[place])}"
        shape = ' style="rounded"' if place.side == "input" else ""
        lines.append(f"  {name} [label={_quoted(text)}{shape}];")
    lines.extend(_arrows(graph, names))
    return "\n".join([*lines, "}", ""])


def _arrows(graph: Graph, names: dict[Place, str]) -> Iterator[str]:
    for place, links in graph.links.items():
        for link in links:
            ends = (names[place], names[link.far])
            source, target = ends if graph.forward else ends[::-1]
            style = "" if link.kind in ("data", "task") else f' [label="{link.kind}" style=dashed]'
            yield f"  {source} -> {target}{style};"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


# ------------------------------------------------------------------------------------------- page

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ font: 14px/1.7 system-ui, sans-serif; margin: 2rem; color: #1f2328; background: #fff }}
h1 {{ font-size: 1.3rem }} summary {{ cursor: pointer }}
details details, details .leaf {{ margin-left: .45rem; padding-left: 1rem;
  border-left: 1px solid #d0d7de }}
.leaf {{ text-indent: 1.1rem }} summary:hover, .leaf:hover {{ background: #f6f8fa }}
.bold {{ font-weight: 600 }} .dim {{ color: #59636e }} .cyan {{ color: #0a6e7c }}
.magenta {{ color: #8250df }}
</style></head><body><h1>{title}</h1>
"""


def page(graph: Graph, reference: str) -> str:
    """A page without scripts or anything fetched: the tree, to open and close."""
    way = "What was made of" if graph.forward else "Where it came from:"
    parts = [_HEAD.format(title=html.escape(f"{way} {reference}"))]
    drawn: set[Place] = set()
    for start in graph.starts:
        parts.extend(_unfolded(graph, start, None, drawn, DEEPEST))
    return "\n".join([*parts, "</body></html>", ""])


def _unfolded(
    graph: Graph, place: Place, link: Link | None, drawn: set[Place], depth: int
) -> Iterator[str]:
    is_known = place in drawn
    drawn.add(place)
    text = _styled(_label(graph, place, link))
    links = graph.links.get(place, ())
    if is_known or not links or depth <= 0:
        remark = ' <span class="dim">(shown above)</span>' if is_known and links else ""
        yield f'<div class="leaf">{text}{remark}</div>'
        return
    yield f"<details open><summary>{text}</summary>"
    for alike in _alike(graph, links):
        for each in alike[:MOST_SIBLINGS]:
            yield from _unfolded(graph, each.far, each, drawn, depth - 1)
        if len(alike) > MOST_SIBLINGS:
            more, name = len(alike) - MOST_SIBLINGS, _task_name(graph, alike[0].far)
            said = html.escape(f"… and {more:,} more from {name}")
            yield f'<details><summary class="dim">{said}</summary>'
            for each in alike[MOST_SIBLINGS:]:
                yield from _unfolded(graph, each.far, each, drawn, depth - 1)
            yield "</details>"
    yield "</details>"


def _styled(text: Text) -> str:
    """The label with its styles as classes; they stand one after another in it."""
    found, at = [], 0
    for span in text.spans:
        found.append(html.escape(text.plain[at : span.start]))
        inner = html.escape(text.plain[span.start : span.end])
        found.append(f'<span class="{span.style}">{inner}</span>')
        at = span.end
    return "".join([*found, html.escape(text.plain[at:])])
