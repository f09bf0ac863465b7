"""`deploy`, `build`, `build_images`: known by name, not carried out here. Each names the next step.

There is no service that deployed tasks could live in: a run brings its code along, and its workers
get the packages of its images from Ray.
"""

from __future__ import annotations

from typing import Any, NoReturn

from flyte_ray.client.dual import blocking
from flyte_ray.errors import UsageError


@blocking
def deploy(*environments: object, **options: Any) -> NoReturn:
    """Deploy environments; an error: there is nothing to deploy to.

    Raises:
        UsageError: always; names the next step.
    """
    names = ", ".join(str(getattr(each, "name", each)) for each in environments) or "nothing"
    raise UsageError(
        f"deploy({names}): there is no service to deploy to, and no need: a run brings its code "
        "along. Start one with flyte_ray.run(task, …), with `flyte-ray run FILE TASK`, or on a "
        "cluster with `ray job submit --working-dir . -- python FILE`."
    )


@blocking
def build(image: object, **options: Any) -> NoReturn:
    """Build a container image; an error: images are not built here.

    Raises:
        UsageError: always; names the next step.
    """
    raise UsageError(
        f"build({getattr(image, 'name', None) or image!r}): container images are not built here. "
        "Build the cluster's image with docker from the Dockerfile of this project, with the "
        "packages that the tasks need; see cluster_configs/."
    )


@blocking
def build_images(*environments: object, **options: Any) -> NoReturn:
    """Build the images of environments; an error: images are not built here.

    Raises:
        UsageError: always; names the next step.
    """
    build(", ".join(str(getattr(each, "name", each)) for each in environments))
