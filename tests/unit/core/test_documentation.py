"""Documentation and links."""

from __future__ import annotations

import pickle

from flyte_ray.core.documentation import Documentation, Link


class Tracker:
    name = "tracker"
    icon_uri = None

    def get_link(self, run_name: str, **kwargs: str) -> str:
        return f"https://tracker.example/{run_name}"


def test_any_object_of_the_shape_is_a_link() -> None:
    assert isinstance(Tracker(), Link)
    assert not isinstance(object(), Link)


def test_documentation_travels() -> None:
    documentation = Documentation("Trains.")
    assert pickle.loads(pickle.dumps(documentation)) == documentation
