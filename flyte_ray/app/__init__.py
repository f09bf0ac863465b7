"""PUBLIC: apps, described but not yet served.

Environments of apps are checked and can be written down, so that modules which define them beside
tasks import. Serving one is an error that names the next step.
"""

from flyte_ray.app.environment import AppEnvironment
from flyte_ray.app.parts import (
    AppContext,
    AppEndpoint,
    ArtifactValue,
    Domain,
    Link,
    Parameter,
    Port,
    RunOutput,
    Scaling,
    Timeouts,
    ctx,
    get_parameter,
)

__all__ = [
    "AppContext",
    "AppEndpoint",
    "AppEnvironment",
    "ArtifactValue",
    "Domain",
    "Link",
    "Parameter",
    "Port",
    "RunOutput",
    "Scaling",
    "Timeouts",
    "ctx",
    "get_parameter",
]
