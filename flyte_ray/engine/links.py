"""The addresses beside an action: what a task's links say of it, worked out once, on submission."""

from __future__ import annotations

import logging
from typing import Any

from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import AttemptSpec

logger = logging.getLogger(__name__)


def rendered_links(task: Callee, spec: AttemptSpec) -> dict[str, Any]:
    """The attribute `links`: name, url and icon of each; nothing for tasks without.

    One that fails is left out, and said in the log.
    """
    found = []
    for link in task.options.links:
        try:
            url = link.get_link(
                run_name=spec.run.name,
                project=str(spec.run.options.get("project", "")),
                domain=str(spec.run.options.get("domain", "")),
                context=dict(spec.custom_context),
                parent_action_name=spec.parent_id or "",
                action_name=spec.action_id,
                pod_name="",
            )
        except Exception as error:  # noqa: BLE001  an author's code, of no weight for the run
            logger.warning("link %r of task %s failed: %r", link, spec.task, error)
            continue
        parts: dict[str, Any] = {"name": link.name, "url": url, "icon": link.icon_uri}
        found.append({key: str(value) for key, value in parts.items() if value})
    return {"links": found} if found else {}
