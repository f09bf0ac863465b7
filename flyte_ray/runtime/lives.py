"""How often a run's host was killed while nothing of the run came to an end.

When a node runs out of memory, Ray kills restartable workers first (its policy since 2.56): the
host, small as it is, and then the task that took the memory. Nobody is left to charge the task, the
host's next life starts the same task again, and so on for ever. So lives are counted: those that
follow each other quickly and find that not one more action has ended. Pure; the count is kept in
the cluster (`addresses`).
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_LIVES = 4
"""The run ends with this one if it is as fruitless as those before."""
QUICKLY_S = 600.0
"""A host that lived longer than this died of something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lives:
    """Lives of a host in a row in which nothing of a run ended."""

    count: int = 0
    done: int = 0
    """Actions that had ended when the last of them began."""
    began_s: float = 0.0

    def next(self, done: int, now_s: float) -> Lives:
        """With the life that begins now."""
        is_fruitless = done <= self.done and now_s - self.began_s < QUICKLY_S
        return Lives(count=self.count + 1 if is_fruitless else 1, done=done, began_s=now_s)

    def to_text(self) -> str:
        return f"{self.count} {self.done} {self.began_s}"

    @staticmethod
    def from_text(text: str) -> Lives:
        count, done, began_s = text.split()
        return Lives(count=int(count), done=int(done), began_s=float(began_s))

    def why_the_last(self, run: str) -> str | None:
        """Why the run must not be started once more; None if it may."""
        if self.count < MOST_LIVES:
            return None
        return (
            f"its host was killed {self.count} times in a row while nothing of the run ended. Most "
            "likely the node ran out of memory under one of its tasks, and Ray killed the host "
            "with it (see raylet.out in Ray's logs). Ask for more memory with "
            "task.override(resources=Resources(memory=…)), or run fewer tasks per node, then: "
            f"flyte-ray rerun {run} --recover"
        )
