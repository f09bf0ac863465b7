"""PUBLIC: what a user's own tests need, and the suites that every port implementation passes.

* `flyte_ray.testing.harness`: a pytest plugin (`pytest_plugins = ["flyte_ray.testing.harness"]`)
  with the fixture `flyte_local`: runs in this process, in a store of the test's own.
* `assert_executed`, `assert_cached`, `assert_recovered`: what a run did, from its record.
* `FakeClock`, `FaultyExecutor`, `FaultyBlobs`: time that tests move, and failures on demand.
* `SlowBlobs`: a store of 30 ms; `every_crash`: a process that dies at each of its storage calls.
* `flyte_ray.testing.contracts`: test classes to inherit for an implementation of a port.
"""

from flyte_ray.testing.assertions import assert_cached, assert_executed, assert_recovered
from flyte_ray.testing.clock import FakeClock
from flyte_ray.testing.crashes import Aftermath, CrashingBlobs, every_crash
from flyte_ray.testing.faults import (
    Fault,
    FaultyBlobs,
    FaultyExecutor,
    SlowBlobs,
    fail_nth,
    kill_at,
)

__all__ = [
    "Aftermath",
    "CrashingBlobs",
    "FakeClock",
    "Fault",
    "FaultyBlobs",
    "FaultyExecutor",
    "SlowBlobs",
    "assert_cached",
    "assert_executed",
    "assert_recovered",
    "every_crash",
    "fail_nth",
    "kill_at",
]
