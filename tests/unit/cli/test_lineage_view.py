"""How a lineage is drawn."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest

from flyte_ray.testing.harness import LocalHarness, flyte_local
from tests.unit.client.explain import flows
from tests.unit.client.explain.stage import command, plain, run

__all__ = ["flyte_local"]

Captured = pytest.CaptureFixture[str]

TREE = """\
climate.o0 = "111.0 degrees"  one/a0  code CODE in tests.unit.client.explain.flows
├── climate(cities) = ["Oslo-by-the-fjord-in-the-north-of-it","Lima-by-the-sea-in…  a0
└── scale.o0 = 111.0  ID  through the code  code CODE in tests.unit.client.explain.flows
    ├── scale(value) = 55.5  ID
    │   └── mean.o0 = 55.5  ID  code CODE in tests.unit.client.explain.flows
    │       └── mean(readings) = [{"city":"Oslo-by-the-fjord-in-the-north-of-it","celsius":5…  ID
    │           … deeper: --depth
    └── scale(factor) = 2.0  ID
        └── climate(cities) = ["Oslo-by-the-fjord-in-the-north-of-it","Lima-by-the-sea-in…  a0  \
through the code"""


def test_a_tree_shows_values_and_code(flyte_local: LocalHarness, capsys: Captured) -> None:
    run(flyte_local, "one")
    capsys.readouterr()
    assert command(flyte_local, "lineage", "one", "--depth", "4") == 0
    assert plain(capsys.readouterr().out).replace("└── … deeper", "… deeper") == TREE


def test_json_has_every_node_and_edge(flyte_local: LocalHarness, capsys: Captured) -> None:
    run(flyte_local, "one")
    capsys.readouterr()
    assert command(flyte_local, "lineage", "one", "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    nodes = {node["id"]: node for node in document["nodes"]}
    assert document["starts"] == ["one/a0/o0"]
    assert nodes["one/a0/o0"]["task"] == "flows.climate"
    assert nodes["one/a0/o0"]["value"] == '"111.0 degrees"'
    assert {edge["kind"] for edge in document["edges"]} == {"task", "data", "control"}
    ends = {edge[end].partition("[")[0] for edge in document["edges"] for end in ("from", "to")}
    assert ends <= {node.partition("[")[0] for node in nodes}


def test_dot_has_an_arrow_for_each_step(flyte_local: LocalHarness, capsys: Captured) -> None:
    run(flyte_local, "one")
    capsys.readouterr()
    assert command(flyte_local, "lineage", "one/mean", "--format", "dot") == 0
    text = capsys.readouterr().out
    assert text.startswith("digraph lineage {")
    assert text.count(" -> ") == 7
    assert '[label="mean.o0\\n55.5"]' in text


def test_the_page_is_whole_and_escaped(flyte_local: LocalHarness, capsys: Captured) -> None:
    run(flyte_local, "one")
    capsys.readouterr()
    assert command(flyte_local, "lineage", "one", "--format", "html") == 0
    text = capsys.readouterr().out
    depth: list[str] = []

    class Check(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta",):
                depth.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert depth.pop() == tag

    Check().feed(text)
    assert depth == []
    assert "&quot;Oslo-by-the-fjord" in text
    assert "http" not in text


def test_an_element_is_shown_and_not_the_beginning_of_the_whole(
    flyte_local: LocalHarness, capsys: Captured
) -> None:
    run(flyte_local, "one")
    capsys.readouterr()
    assert command(flyte_local, "lineage", "one/mean", "--depth", "9") == 0
    text = plain(capsys.readouterr().out)
    assert '[1] ← fetch.o0 = {"city":"Lima' in text
    assert 'climate(cities[1]) = "Lima-by-the-sea-in-the-west-of-peru"  a0' in text


def test_many_alike_are_folded_in_the_page_but_there(
    flyte_local: LocalHarness, capsys: Captured
) -> None:
    cities = [f"city-number-{number}-somewhere-in-the-world" for number in range(20)]
    run(flyte_local, "many", flows.climate, cities)
    capsys.readouterr()
    assert command(flyte_local, "lineage", "many/mean", "--format", "html") == 0
    text = capsys.readouterr().out
    assert '<details><summary class="dim">… and 12 more from fetch</summary>' in text
    assert all(f"[{number}] ← </span>" in text for number in range(20))


def test_an_unknown_run_is_a_wrong_call(flyte_local: LocalHarness, capsys: Captured) -> None:
    assert command(flyte_local, "lineage", "nobody") == 2
    assert "'nobody'" in capsys.readouterr().err
