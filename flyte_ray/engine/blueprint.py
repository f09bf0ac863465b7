"""What all calls of one task in one run have in common, worked out once.

A parent may call a task ten thousand times: what an input's type is, where the task lies, what its
code identity is and what stands of it on every first row does not change between two calls. Here it
is turned into what a call needs: a cache key, a question, the facts of the first row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyte_ray.core.address import TaskAddress
from flyte_ray.core.cache_key import CacheBasis
from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import Question, RunSpec
from flyte_ray.core.digest import Digest, digest_json
from flyte_ray.core.facts import Facts, joined, text_of_facts
from flyte_ray.core.ids import ActionId, Scope
from flyte_ray.core.payload import Payload
from flyte_ray.engine.attempt import types_of

MOST_REMEMBERED = 256


class Blueprint:
    """One task, as the calls of one run see it. Immutable."""

    def __init__(self, task: Callee, run: RunSpec, address: TaskAddress) -> None:
        """Work out what calls will need.

        Args:
            task: the task.
            run: the run.
            address: where workers find the task; see `engine.loading.portable`.
        """
        cache = task.options.cache
        self.task = task
        self.run = run
        self.address = address
        self.is_by_value = address.module is None and address.blob_key is None
        self.options = task.options
        self.identity = task.identity
        self.own_identity = task.own_identity
        self.types = types_of(task.interface)
        self.owner = f"task {task.name!r}, input"
        self.basis = cache_basis(task) if cache.is_enabled() and not run.disable_cache else None
        self._ignored = cache.ignored_inputs
        self._serialize = cache.serialize
        self._max_age_s = cache.max_age.total_seconds() if cache.max_age else None
        self._facts = text_of_facts(self._constant_facts())

    def digest_of(self, inputs: Payload) -> Digest:
        """The digest of the inputs that count: it enters the names of the call."""
        return inputs.digest_without(self._ignored)

    def key(self, digest: Digest) -> Digest | None:
        """The cache key of a call with these inputs; None when it is not cached in this run."""
        return None if self.basis is None else self.basis.key(digest)

    def question(
        self,
        action_id: ActionId,
        key: Digest | None,
        *,
        replay: bool,
        parent_id: ActionId | None = None,
    ) -> Question | None:
        """What to ask the record before running; None when it cannot know anything."""
        asked = None if self.run.overwrite_cache else key
        if asked is None and not replay:
            return None
        return Question(
            action_id=action_id,
            task=self.task.name,
            identity=self.identity,
            cache_key=asked,
            serialize=self._serialize,
            max_age_s=self._max_age_s,
            replay=replay,
            adopt=action_id not in self.run.force_rerun_actions,
            parent_id=parent_id,
        )

    def facts(
        self, scope: Scope, group: str | None, custom: Mapping[str, str], more: Mapping[str, Any]
    ) -> Facts:
        """The attributes that stand on an action's first row only."""
        scoped = f'{{"scope":"{scope}"}}'  # letters and digits: no need to quote them
        if not (group or custom or more):
            return joined(self._facts, scoped)
        own: dict[str, Any] = {}
        if group:
            own["group"] = group
        if custom:
            own["custom_context"] = dict(custom)
        own.update(more)
        return joined(self._facts, scoped, text_of_facts(own))

    def _constant_facts(self) -> dict[str, Any]:
        address = self.address
        parts = {
            "name": address.name,
            "module": address.module,
            "file": address.file,
            "blob_key": address.blob_key,
        }
        found: dict[str, Any] = {
            "identity": self.identity,
            "short_name": self.task.short_name,
            "address": {key: value for key, value in parts.items() if value is not None},
        }
        if self.basis is not None:
            found["cache_version"] = self.basis.version
            found["interface"] = self.basis.interface
            if self._ignored:
                found["ignored_inputs"] = list(self._ignored)
        return found


class Blueprints:
    """The blueprints of the tasks that one parent calls. Thread-safe: single steps on a dict."""

    def __init__(self) -> None:
        self._made: dict[int, Blueprint] = {}

    def get(self, task: Callee) -> Blueprint | None:
        """The task's blueprint, if it was made lately."""
        return self._made.get(id(task))

    def keep(self, blueprint: Blueprint) -> Blueprint:
        """Remember a blueprint. It keeps its task, so that the task's id stays its own."""
        if len(self._made) >= MOST_REMEMBERED:
            self._made.clear()  # tasks that are overridden for a single call, say
        self._made[id(blueprint.task)] = blueprint
        return blueprint


def cache_basis(task: Callee) -> CacheBasis:
    """What the cache keys of a task's calls are made of, apart from the inputs."""
    return CacheBasis(
        task=task.name,
        version=task.cache_version,
        interface=digest_json(task.interface.signature()),
    )
