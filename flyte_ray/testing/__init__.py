"""PUBLIC: what a user's own tests need, and the suites that every port implementation passes.

* `flyte_ray.testing.harness`: a pytest plugin (`pytest_plugins = ["flyte_ray.testing.harness"]`)
  with the fixture `flyte_local`: runs in this process, in a store of the test's own.
* `assert_executed`, `assert_cached`, `assert_recovered`: what a run did, from its record.
* `FakeClock`, `FaultyExecutor`, `FaultyBlobs`: time that tests move, and failures on demand.
* `flyte_ray.testing.contracts`: test classes to inherit for an implementation of a port.
"""

from flyte_ray.testing.assertions import assert_cached, assert_executed, assert_recovered
from flyte_ray.testing.clock import FakeClock
from flyte_ray.testing.faults import Fault, FaultyBlobs, FaultyExecutor, fail_nth, kill_at

__all__ = [
    "FakeClock",
    "Fault",
    "FaultyBlobs",
    "FaultyExecutor",
    "assert_cached",
    "assert_executed",
    "assert_recovered",
    "fail_nth",
    "kill_at",
]
