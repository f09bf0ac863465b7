"""PodTemplate: an immutable wish, given as plain data."""

from __future__ import annotations

import pickle
from datetime import timedelta

import pytest

from flyte_ray.core.pod import PodTemplate


class FakeSpec:
    def to_dict(self) -> dict[str, object]:
        return {"containers": [{"name": "main", "image": "x"}]}


def test_each_method_gives_a_changed_copy() -> None:
    plain = PodTemplate()
    changed = plain.allow_fuse(privileged=True).allow_nested_sandboxing()
    assert (changed.needs_fuse, changed.privileged, changed.needs_nested_sandboxing) == (True,) * 3
    assert plain == PodTemplate()


def test_pod_has_a_primary_container_of_the_given_name() -> None:
    pod = PodTemplate(primary_container_name="job", labels={"a": "b"}).to_k8s_pod()
    assert pod["spec"]["containers"] == [{"name": "job"}]
    assert pod["metadata"]["labels"] == {"a": "b"}


def test_spec_of_the_author_is_kept_and_not_changed() -> None:
    spec = {"nodeSelector": {"zone": "a"}, "containers": [{"name": "primary", "image": "x"}]}
    template = PodTemplate.from_spec(spec).allow_fuse().with_termination_grace_period(30)
    pod = template.to_k8s_pod()

    assert pod["spec"]["nodeSelector"] == {"zone": "a"}
    assert pod["spec"]["terminationGracePeriodSeconds"] == 30
    (primary,) = pod["spec"]["containers"]
    assert primary["image"] == "x"
    assert primary["securityContext"] == {"capabilities": {"add": ["SYS_ADMIN"]}}
    assert spec["containers"] == [{"name": "primary", "image": "x"}]


def test_spec_object_of_the_kubernetes_package_is_read() -> None:
    containers = PodTemplate(FakeSpec(), "main").to_k8s_pod()["spec"]["containers"]
    assert containers == [{"name": "main", "image": "x"}]


def test_privileged_container() -> None:
    pod = PodTemplate().allow_fuse(privileged=True).to_k8s_pod()
    assert pod["spec"]["containers"][0]["securityContext"] == {"privileged": True}


def test_wrong_spec_is_refused() -> None:
    with pytest.raises(TypeError, match="pod_spec"):
        PodTemplate(pod_spec=5).to_k8s_pod()


def test_negative_grace_is_refused() -> None:
    with pytest.raises(ValueError, match="grace"):
        PodTemplate().with_termination_grace_period(-1)


def test_template_travels() -> None:
    template = PodTemplate(labels={"a": "b"}).with_termination_grace_period(timedelta(minutes=1))
    assert pickle.loads(pickle.dumps(template)) == template
