"""What Flyte deploys and builds is refused here, with the next step."""

from __future__ import annotations

import asyncio

import pytest

import flyte_ray as flyte
from flyte_ray.errors import UsageError

env = flyte.TaskEnvironment("unit_deploying")


def test_deploying_says_how_code_travels() -> None:
    with pytest.raises(UsageError, match=r"deploy\(unit_deploying\).*ray job submit"):
        flyte.deploy(env)
    with pytest.raises(UsageError, match="brings its code along"):
        asyncio.run(flyte.deploy.aio(env, version="1"))


def test_building_says_where_packages_come_from() -> None:
    with pytest.raises(UsageError, match="Dockerfile"):
        flyte.build(flyte.Image.from_debian_base(), wait=True)
    with pytest.raises(UsageError, match=r"build\('?unit_deploying"):
        flyte.build_images(env)
