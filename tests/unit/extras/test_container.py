from __future__ import annotations

import pytest

from flyte_ray.errors import UsageError
from flyte_ray.extras import ContainerTask, ContainerTaskUnavailableError, shell


def test_a_container_task_says_what_to_do_instead() -> None:
    with pytest.raises(ContainerTaskUnavailableError, match=r"echo hi.*subprocess\.run") as caught:
        ContainerTask(name="hello", image="alpine", command=["echo", "hi"], inputs={"x": int})
    assert isinstance(caught.value, UsageError)


def test_a_shell_task_says_what_to_do_instead() -> None:
    with pytest.raises(ContainerTaskUnavailableError, match=r"shell task 'count'.*wc -l"):
        shell.create("count", image="alpine", script="wc -l {inputs.file}")
