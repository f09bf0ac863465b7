"""Kubernetes wishes of a task: `PodTemplate`. Accepted and kept; Ray schedules without pods.

The spec may be a plain mapping or an object of the `kubernetes` package; `to_k8s_pod` gives plain
data, so nothing here needs that package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """A pod for the task's container, for the time when the cluster runs on Kubernetes.

    Example:
        >>> PodTemplate(labels={"team": "vision"}).to_k8s_pod()["metadata"]["labels"]
        {'team': 'vision'}
    """

    pod_spec: Any | None = None
    """A mapping in Kubernetes' JSON form, or a `V1PodSpec`."""
    primary_container_name: str = "primary"
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    needs_fuse: bool = False
    privileged: bool = False
    needs_nested_sandboxing: bool = False
    termination_grace_period: timedelta | None = None

    @classmethod
    def from_spec(
        cls,
        pod_spec: Any,
        primary_container_name: str = "primary",
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> PodTemplate:
        """A template around an existing pod spec."""
        return cls(pod_spec, primary_container_name, labels, annotations)

    def allow_fuse(self, privileged: bool = False) -> PodTemplate:
        """A copy whose container may mount FUSE file systems."""
        return replace(self, needs_fuse=True, privileged=self.privileged or privileged)

    def allow_nested_sandboxing(self) -> PodTemplate:
        """A copy whose container may start sandboxes of its own."""
        return replace(self, needs_nested_sandboxing=True)

    def with_termination_grace_period(self, period: int | timedelta) -> PodTemplate:
        """A copy that gets this long to end, in seconds or as a timedelta.

        Raises:
            ValueError: the period is negative.
        """
        grace = period if isinstance(period, timedelta) else timedelta(seconds=period)
        if grace < timedelta(0):
            raise ValueError(f"PodTemplate: the grace period must not be negative, not {grace}")
        return replace(self, termination_grace_period=grace)

    def to_k8s_pod(self) -> dict[str, Any]:
        """The pod as plain data in Kubernetes' JSON form."""
        spec = dict(_plain_spec(self.pod_spec))
        if self.termination_grace_period is not None:
            seconds = int(self.termination_grace_period.total_seconds())
            spec["terminationGracePeriodSeconds"] = seconds
        containers = [dict(container) for container in spec.get("containers", [])]
        primary = next(
            (each for each in containers if each.get("name") == self.primary_container_name), None
        )
        if primary is None:
            primary = {"name": self.primary_container_name}
            containers.insert(0, primary)
        if context := self._security_context():
            primary["securityContext"] = {**primary.get("securityContext", {}), **context}
        spec["containers"] = containers
        metadata = {
            "labels": dict(self.labels or {}),
            "annotations": dict(self.annotations or {}),
        }
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def _security_context(self) -> dict[str, Any]:
        if self.privileged:
            return {"privileged": True}
        if self.needs_fuse or self.needs_nested_sandboxing:
            return {"capabilities": {"add": ["SYS_ADMIN"]}}
        return {}


def _plain_spec(spec: Any | None) -> Mapping[str, Any]:
    if spec is None:
        return {}
    if isinstance(spec, Mapping):
        return spec
    if callable(to_dict := getattr(spec, "to_dict", None)):
        plain: Mapping[str, Any] = to_dict()
        return plain
    raise TypeError(f"PodTemplate.pod_spec must be a mapping or a V1PodSpec, not {spec!r}")
