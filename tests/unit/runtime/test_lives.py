"""A host that dies again and again without anything being done ends its run; others do not."""

from __future__ import annotations

from flyte_ray.runtime.lives import MOST_LIVES, QUICKLY_S, Lives


def lived(*lives: tuple[int, float]) -> Lives:
    """Lives by (actions that had ended, when they began)."""
    known = Lives()
    for done, began_s in lives:
        known = Lives.from_text(known.next(done, began_s).to_text())
    return known


def test_lives_in_which_nothing_ends_are_numbered_and_then_are_too_many() -> None:
    assert [lived(*[(3, 30.0 * n) for n in range(1, k + 1)]).count for k in (1, 2, 3)] == [1, 2, 3]
    assert lived(*[(3, 30.0 * n) for n in range(1, MOST_LIVES)]).why_the_last("r1") is None
    reason = lived(*[(3, 30.0 * n) for n in range(1, MOST_LIVES + 1)]).why_the_last("r1")
    assert reason is not None
    assert "ran out of memory" in reason and "rerun r1 --recover" in reason


def test_progress_or_a_long_life_begins_the_count_anew() -> None:
    assert lived((3, 30.0), (3, 60.0), (4, 90.0)).count == 1
    assert lived((3, 30.0), (3, 60.0), (3, 61.0 + QUICKLY_S)).count == 1
