"""What a task leaves behind beside its result: checkpoints, reports, times, links (item 4)."""

from __future__ import annotations

from pathlib import Path

from tests.integration.contract.house import House, only
from tests.integration.contract.tasks import leaving
from tests.integration.contract.tasks.marks import count


def test_an_attempt_goes_on_from_the_checkpoint_of_the_last(house: House, marks: str) -> None:
    assert house.result(leaving.resumes, marks) == [0, 1, 2]
    assert count(marks, "attempt") == 3


def test_a_recovery_goes_on_from_the_checkpoint_of_the_run_it_recovers(
    house: House, marks: str
) -> None:
    run = house.finish(leaving.fails_once_per_run, marks)
    assert run.phase == "failed"
    again = house.rerun(run, recover=True)
    again.raise_for_status()
    assert again.outputs()[0] == "found halfway"


def test_durable_time_and_chance_are_the_same_in_every_attempt(house: House, marks: str) -> None:
    assert house.result(leaving.keeps_time, marks) is True
    names = [path.name.rpartition("~")[0] for path in Path(marks).iterdir()]
    assert len(names) == 2
    assert len(set(names)) == 1


def test_reports_links_and_descriptions_are_in_the_record(house: House) -> None:
    run = house.finish(leaving.shows_below)
    run.raise_for_status()
    action = only(run, "shows")
    url = f"https://tracker.example/{run.name}/{action.action_id}"
    assert action.attrs["links"] == [{"name": "tracker", "url": url}]
    assert action.attrs["description"] == "Shows what it found."
    (page,) = (house.store / "runs" / run.name / "reports" / action.action_id).iterdir()
    text = page.read_text()
    for part in ("<h1>Found</h1>", "<td>1</td>", "table</a>"):
        assert part in text
