"""Outputs of a run in the hands of its caller."""

from __future__ import annotations

import copy
import pickle

import pytest

from flyte_ray.client.outputs import ActionOutputs


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda outputs: pickle.loads(pickle.dumps(outputs))]
)
def test_outputs_survive_copying(copied: object) -> None:
    found = copied(ActionOutputs({"model": 1, "score": 2}))  # type: ignore[operator]
    assert found == (1, 2)
    assert (found.model, found.named_outputs) == (1, {"model": 1, "score": 2})


def test_a_name_that_is_none_of_them_is_named() -> None:
    with pytest.raises(AttributeError, match="no output 'loss'"):
        _ = ActionOutputs({"model": 1}).loss
