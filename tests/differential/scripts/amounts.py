"""Resources, devices, reuse, retries and caches check what they are given (§9, §11 to §13)."""

from datetime import timedelta

import flyte
from said import attempt, say

S = timedelta(seconds=1)

if __name__ == "__main__":
    for cpu in (1, 0.5, "500m", (1, 2), -1, (-1, 2), [1, 2], {}, (None, 1), (1,)):
        attempt(f"cpu={cpu!r}", lambda v=cpu: flyte.Resources(cpu=v).cpu)
    for memory in ("512Mi", ("1Gi", "2Gi"), 1024, (None, "1Gi"), ("1Gi",)):
        attempt(f"memory={memory!r}", lambda v=memory: flyte.Resources(memory=v).memory)
    gpus = (0, 2, "A100:1", "A100 80G:8", "H100:8", -1, "A100", "A100:9", "V5E:1", 1.5)
    for gpu in gpus:
        attempt(f"gpu={gpu!r}", lambda v=gpu: flyte.Resources(gpu=v) and "made")
    for field in ("disk", "shm"):
        attempt(f"{field}=3", lambda f=field: flyte.Resources(**{f: 3}))
    say(
        "shared memory", [flyte.Resources(shm=v).get_shared_memory() for v in (None, "auto", "1Gi")]
    )
    attempt("change them", lambda: setattr(flyte.Resources(cpu=1), "cpu", 2))
    device = flyte.Resources(gpu="A100:2").get_device()
    say("device", (device.device, device.quantity, flyte.Resources().get_device()))
    attempt("partition", lambda: flyte.GPU("A100", 1, "1g.5gb").partition)
    attempt("no such partition", lambda: flyte.GPU("A100", 1, "9g"))
    attempt("no such device", lambda: flyte.GPU("NOPE", 1))
    attempt("no device", lambda: flyte.GPU("A100", 0))
    for replicas in (2, (0, 3), 0, None, [1, 2], "1", (1,), -1, (3, 1)):
        attempt(f"replicas={replicas!r}", lambda v=replicas: flyte.ReusePolicy(replicas=v).replicas)
    for ttl in (30, 29, None, 30.0, timedelta(minutes=1)):
        attempt(f"idle_ttl={ttl!r}", lambda v=ttl: flyte.ReusePolicy(idle_ttl=v).idle_ttl)
    for concurrency in (1, 0, "1"):
        attempt(
            f"concurrency={concurrency!r}",
            lambda v=concurrency: flyte.ReusePolicy(concurrency=v).concurrency,
        )
    attempt("scope", lambda: flyte.ReusePolicy(scope="x"))
    for count in (1, "1", -1, 1.5):
        attempt(f"count={count!r}", lambda v=count: flyte.RetryStrategy(v).count)
    backoffs = [(-S,), (S, 0.5), (S, float("inf")), (S, 1.0, -S), (S, 2.0), (S, 2.0, 5 * S)]
    for given in backoffs:
        attempt(f"backoff{given!r}", lambda v=given: flyte.Backoff(*v) and "made")
    backoff = flyte.Backoff(S, 2.0, 5 * S)
    say("delays", [backoff.compute_delay(n).total_seconds() for n in range(4)])
    attempt("delay before the first", lambda: backoff.compute_delay(-1))
    for behavior in ("auto", "ON", "yes", "disable", "off", "none", "override", "nope", True):
        attempt(f"behavior={behavior!r}", lambda v=behavior: flyte.Cache(v).behavior)
    for age in (None, 0, 5, S, True, 1.5, -1):
        attempt(f"max_age={age!r}", lambda v=age: flyte.Cache("auto", max_age=v) and "made")
    say("ignored", flyte.Cache("auto", ignored_inputs="x").get_ignored_inputs())
    attempt("no policies", lambda: flyte.Cache("auto", policies=[]) and "made")
