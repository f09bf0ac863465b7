"""Which edges the rows of a run show."""

from __future__ import annotations

from typing import Any

from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.core.model import Event, EventKind
from flyte_ray.core.payload import EncodedValue, Payload
from flyte_ray.store.edges import MOST_SOURCES, Edge, edges_of
from flyte_ray.store.final_tables import edges_table
from flyte_ray.store.fold import fold
from flyte_ray.store.schemas import EDGES
from tests.unit.store.books import row


def value(digest: str, **fields: Any) -> EncodedValue:
    given = {
        "codec": "npy",
        "type": "ndarray",
        "size_bytes": 10**6,
        "key": f"runs/r/values/{digest}",
    }
    return EncodedValue(digest=digest, **{**given, **fields})


def small(digest: str, **fields: Any) -> EncodedValue:
    return value(
        digest,
        **{"codec": "json", "type": "int", "size_bytes": 1, "key": None, "inline": "7", **fields},
    )


def did(
    action: str, inputs: EncodedValue, outputs: EncodedValue, at_us: int, **fields: Any
) -> list[Event]:
    asked = Payload(values={"x": inputs}).to_json()
    came = Payload(values={"o0": outputs}).to_json()
    parent = None if action == ROOT_ACTION else ROOT_ACTION
    attrs = {"started_us": at_us, "ended_us": at_us + 1, **fields}
    return [
        row(EventKind.SUBMITTED, action, at_us=at_us, parent_id=parent, inputs=asked),
        row(
            EventKind.SUCCEEDED, action, at_us=at_us + 1, parent_id=parent, attempt=1,
            outputs=came, attrs=attrs,
        ),
    ]  # fmt: skip


def found(events: list[Event], kind: str) -> list[Edge]:
    return [edge for edge in edges_of("r1", fold(events)) if edge.kind == kind]


def test_an_output_that_is_anothers_input_is_an_edge() -> None:
    events = did("b", value("in"), value("v"), 1) + did("c", value("v"), value("w"), 5)
    [edge] = found(events, "data")
    assert (edge.src_action, edge.src_name, edge.dst_action, edge.dst_name) == ("b", "o0", "c", "x")
    assert (edge.value_sha256, edge.src_element, edge.dst_element) == ("v", None, None)


def test_elements_of_a_container_join_one_by_one() -> None:
    events = did("b", value("in"), value("v0"), 1) + did("c", value("in"), value("v1"), 2)
    events += did("d", value("list", elements=("v0", "v1")), value("w"), 9)
    pairs = [(e.src_action, e.dst_element) for e in found(events, "data")]
    assert pairs == [("b", 0), ("c", 1)]


def test_scalars_join_only_where_one_was_handed_on() -> None:
    def story(**fields: Any) -> list[Event]:
        return did("b", value("in"), small("7"), 1) + did("c", small("7", **fields), value("w"), 5)

    assert found(story(), "data") == []
    assert len(found(story(passed=True), "data")) == 1
    assert len(found(story(type="dict[str, int]", size_bytes=80), "data")) == 1


def test_what_ended_after_it_was_asked_for_is_no_source() -> None:
    events = did("c", value("v"), value("w"), 1) + did("b", value("in"), value("v"), 5)
    assert found(events, "data") == []


def test_of_many_equal_results_the_latest_siblings_count() -> None:
    events = [e for n in range(20) for e in did(f"b{n}", value("in"), value("v"), 2 * n)]
    events += did("c", value("v"), value("w"), 99)
    sources = [edge.src_action for edge in found(events, "data")]
    assert sources == [f"b{n}" for n in range(20 - MOST_SOURCES, 20)]


def test_inputs_handed_down_and_results_handed_up_are_edges() -> None:
    events = did(ROOT_ACTION, value("in"), value("v"), 0) + did("b", value("in"), value("v"), 1)
    [argument], [result] = found(events, "argument"), found(events, "result")
    assert (argument.src_action, argument.src_name, argument.dst_action) == (ROOT_ACTION, "x", "b")
    assert (result.src_action, result.dst_action, result.dst_name) == ("b", ROOT_ACTION, "o0")


def test_a_result_from_the_cache_points_to_the_run_that_made_it() -> None:
    events = did("b", value("in"), value("v"), 1, cached_from="earlier/a9")
    [edge] = found(events, "cache")
    assert (edge.src_run, edge.src_action, edge.dst_action) == ("earlier", "a9", "b")


def test_the_table_has_the_documented_columns() -> None:
    events = did("b", value("in"), value("v"), 1) + did("c", value("v"), value("w"), 5)
    table = edges_table("r1", fold(events))
    assert table.schema.equals(EDGES)
    assert {each["run"] for each in table.to_pylist()} == {"r1"}


def inside(value: Any) -> list[tuple[str, str, bool]]:
    """A `LookInside` for the tests: containers are spelt as their elements, `d1 d2 d3`."""
    return [(f"[{n}]", d, len(d) > 1) for n, d in enumerate((value.get("inline") or "").split())]


def listed(digests: str, **fields: Any) -> EncodedValue:
    return small(digests.replace(" ", ""), type="list[int]", inline=digests, **fields)


def seen(events: list[Event], kind: str) -> list[tuple[str | None, str | None, str | None]]:
    edges = [edge for edge in edges_of("r1", fold(events), inside) if edge.kind == kind]
    return [(edge.src_action, edge.src_path, edge.dst_path) for edge in edges]


def test_elements_of_plain_containers_join_what_they_were_gathered_from() -> None:
    events = did("b", value("in"), value("v0"), 1) + did("c", value("in"), value("v1"), 2)
    events += did("d", listed("v1 v0"), value("w"), 9)
    assert seen(events, "data") == [("c", None, "[0]"), ("b", None, "[1]")]


def test_what_was_taken_out_of_a_plain_container_joins_its_element() -> None:
    events = did("b", value("in"), listed("v0 v1"), 1) + did("c", value("v1"), value("w"), 9)
    assert seen(events, "data") == [("b", "[1]", None)]


def test_a_container_that_joins_as_a_whole_is_not_opened() -> None:
    events = did("b", value("in"), value("v0"), 1)
    events += did("c", value("in"), listed("v0 v1", size_bytes=99), 2)
    events += did("d", listed("v0 v1", size_bytes=99), value("w"), 9)
    assert seen(events, "data") == [("c", None, None)]


def test_equal_scalars_that_were_gathered_join_in_the_order_of_the_calls() -> None:
    events = did("b", value("in"), small("7"), 1) + did("c", value("in"), small("8"), 2)
    events += did("d", value("in"), small("7"), 3)
    assert seen(events + did("e", listed("7 8 7", passed=True), value("w"), 9), "data") == [
        ("b", None, "[0]"),
        ("c", None, "[1]"),
        ("d", None, "[2]"),
    ]
    assert seen(events + did("e", listed("7 8 7"), value("w"), 9), "data") == []


def test_scalars_gathered_into_the_parents_result_are_results_of_the_children() -> None:
    events = did(ROOT_ACTION, value("in"), listed("7 8 7", passed=True), 0)
    events += did("b", value("x"), small("7"), 1) + did("c", value("x"), small("8"), 2)
    events += did("d", value("x"), small("7"), 3)
    edges = [edge for edge in edges_of("r1", fold(events), inside) if edge.kind == "result"]
    assert [(edge.src_action, edge.dst_path) for edge in edges] == [
        ("b", "[0]"), ("c", "[1]"), ("d", "[2]"),
    ]  # fmt: skip


def test_keys_and_fields_have_a_path_and_no_number() -> None:
    def fields_of(value: Any) -> list[tuple[str, str, bool]]:
        return [(".name", "v0", True)] if value["type"] == "Row" else []

    events = did("b", value("in"), value("v0"), 1) + did("c", small("r", type="Row"), value("w"), 9)
    [edge] = [e for e in edges_of("r1", fold(events), fields_of) if e.kind == "data"]
    assert (edge.dst_element, edge.dst_path) == (None, ".name")


def test_many_equal_values_cost_time_in_proportion() -> None:
    """Each was compared with every other once: 3,000 equal results took nine million looks."""
    events = [e for n in range(1500) for e in did(f"b{n}", value("in"), value("v"), 2 * n)]
    events += [e for n in range(1500) for e in did(f"c{n}", value("v"), value(f"w{n}"), 9000)]
    actions = fold(events)
    edges = [edge for edge in edges_of("r1", actions) if edge.kind == "data"]
    assert len(edges) == 1500 * MOST_SOURCES
