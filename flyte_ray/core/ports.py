"""The sockets of the house: what a lower floor needs from a higher one, as Protocols.

A lower room that must reach upwards states its wish here and is *handed* the thing; so nobody
imports upwards. Implementations: `engine/controller` and `author/` call through `Controller`;
`runtime/executor`, `engine/local` and `testing/faults` are `Executor`s; `engine/host` is the
`BookKeeper` (the runtime puts an actor between); `store/` gives `Blobs`, `Ledger`, `CacheIndex`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Any, Protocol

from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import Answer, AttemptSpec, Call, Question
from flyte_ray.core.condition import ConditionWish
from flyte_ray.core.failure import ErrorInfo
from flyte_ray.core.interface import Interface
from flyte_ray.core.model import Event, Outcome, Settled
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.payload import EncodedValue, Payload
from flyte_ray.core.progress import Progress


class Controller(Protocol):
    """Answers the calls of one running action. Found in the context; safe from any thread."""

    async def submit(self, call: Call) -> Any:
        """Run a child action; its outputs as the Python value the task returns.

        May be awaited on any event loop. Raises what the child raised (see `core/failure`).
        Cancelling the awaiting asyncio task cancels the child.
        """
        ...

    def submit_blocking(self, call: Call) -> Any:
        """The same for callers without a loop; blocks this thread, never the engine."""
        ...

    async def open_trace(
        self, name: str, identity: str, interface: Interface, inputs: Mapping[str, Any]
    ) -> Trace:
        """Name a traced step and look for its recorded result."""
        ...

    def open_trace_blocking(
        self, name: str, identity: str, interface: Interface, inputs: Mapping[str, Any]
    ) -> Trace:
        """`open_trace` for callers without a loop."""
        ...

    async def open_condition(self, wish: ConditionWish) -> ConditionAnswer:
        """Ask for an answer from outside; returns once it can be given."""
        ...


class ConditionAnswer(Protocol):
    """A question that was asked from inside of an action."""

    is_new: bool
    """False where an earlier attempt has asked already."""

    async def wait(self) -> Any:
        """The answer, once the record has it; raises `ConditionTimedoutError`."""
        ...


class Trace(Protocol):
    """One traced step: answered from the record, or to be run here and recorded.

    Usage: `if trace.found: return trace.result()`; otherwise run the function inside
    `trace.context()` and hand the value or the error in; both return when the store has it.
    """

    @property
    def found(self) -> bool: ...
    def result(self) -> Any:
        """The recorded value; raises a recorded error that is final."""
        ...

    def context(self) -> Any:
        """A context manager under which `ctx().action` is the step's pseudo-action."""
        ...

    async def succeed(self, value: Any) -> Any: ...
    async def fail(self, error: BaseException) -> None: ...
    def succeed_blocking(self, value: Any) -> Any: ...
    def fail_blocking(self, error: BaseException) -> None: ...


class Executor(Protocol):
    """Carries out attempts. It knows nothing of retries, caches or books."""

    async def execute(self, spec: AttemptSpec, task: Callee | None) -> Outcome:
        """Run one attempt to its end.

        Never raises for what went wrong in the attempt or around it: that is the outcome's kind.
        Cancelling the awaiting asyncio task stops the attempt (softly, then by force) and raises
        `CancelledError` when it has stopped. `task` spares in-process executors the loading.
        """
        ...

    def check(self, options: TaskOptions) -> str | None:
        """Why no worker could ever carry out such an attempt, or None."""
        ...


class BookKeeper(Protocol):
    """The host, as seen by the controllers of its runs (directly, or through a channel)."""

    def record(self, run: str, events: Sequence[Event]) -> Future[None]:
        """Hand events in; the future ends when the store has them (or raises `FencedError`)."""
        ...

    def note(self, run: str, events: Sequence[Event]) -> None:
        """Hand events in that nobody waits for ("submitted", "started"); order is kept."""
        ...

    def look_up(self, run: str, questions: Sequence[Question]) -> Future[list[Answer | None]]:
        """One answer, or None, per question."""
        ...


class Ledger(Protocol):
    """The single writer of one run's book."""

    @property
    def epoch(self) -> int: ...
    def append(self, events: Sequence[Event]) -> Future[None]:
        """The future ends when all these events are in the store."""
        ...

    def note(self, events: Sequence[Event]) -> None:
        """Events that force no write; they ride along, within a second at the latest."""
        ...

    def close(self) -> None:
        """Write what is left and stop. Idempotent."""
        ...


class Blobs(Protocol):
    """An object store below one root URL. Keys are relative, `/`-separated. Thread-safe."""

    @property
    def url(self) -> str: ...
    def put(self, key: str, *parts: bytes | bytearray | memoryview) -> None:
        """Store the concatenated parts; an existing object is replaced whole."""
        ...

    def put_new(self, key: str, data: bytes) -> bool:
        """Create the object unless one exists; True if the object now holds exactly `data`.

        A lost reply is settled by reading back: equal bytes are a success.
        """
        ...

    def get(self, key: str) -> bytes:
        """The bytes. Raises `FileNotFoundError`."""
        ...

    def exists(self, key: str) -> bool: ...
    def list(self, prefix: str) -> Sequence[str]:
        """Names (not keys) of the objects and folders directly below `prefix`, sorted."""
        ...

    def delete(self, keys: Iterable[str]) -> None: ...


Part = bytes | bytearray | memoryview


class ValueStore(Protocol):
    """Where a codec puts and finds the bytes of large values."""

    def put(self, digest: str, codec: str, *parts: Part) -> str:
        """Store under the digest (once per run), and return the key."""
        ...

    def get(self, key: str) -> bytes: ...


class SharingStore(ValueStore, Protocol):
    """A value store that has fast copies beside it."""

    def put_shared(
        self,
        digest: str,
        codec: str,
        parts: Sequence[Part],
        share: Callable[[], Sequence[Part] | None],
    ) -> str:
        """`put` for a value that lies beside the store in another form, or not at all.

        Views among the parts are released once they are stored; then `share` is called.
        """
        ...

    def take(self, key: str, size_bytes: int) -> Sequence[memoryview] | None:
        """What was laid beside a stored value of this size; None where it is to be read."""
        ...

    def confirm(self, key: str) -> None:
        """What is stored there is what its key says: it need not be stored again."""
        ...

    def hand_on(self, value: EncodedValue, share: Callable[[], Sequence[Part] | None]) -> bool:
        """Have a fast copy of a value that is stored already. False if it is not of this run.

        Args:
            value: as it is stored.
            share: lays it out for `take`, where there is no copy yet.
        """
        ...


class FastCopies(Protocol):
    """Large values of runs in progress, as they lie in memory. Any of them may be lost any time.

    They only spare a read: whoever finds none reads the store, which has every value before anyone
    is told of it. No method raises.
    """

    def offer(self, key: str, parts: Sequence[Part]) -> Callable[[], None]:
        """Begin to lay a copy down; call what is returned to wait until others can find it.

        The parts must not change until then.
        """
        ...

    def take(self, key: str) -> Sequence[memoryview] | None:
        """The parts. Writable ones are the caller's own; all others must not be changed."""
        ...


class Veil(Protocol):
    """Keeps the secrets of an attempt out of what is recorded."""

    def masked(self, text: str) -> str:
        """The text with `***` in place of secrets."""
        ...

    def check(self, values: Mapping[str, Any], owner: str) -> None:
        """Refuse values that hold a secret: they cannot be recorded with stars in them.

        Raises:
            UnserializableInputError: names the value and the secret.
        """
        ...

    def masked_error(self, error: ErrorInfo | None) -> ErrorInfo | None:
        """The failure with stars in its texts, without the exception itself if that held any."""
        ...


class CacheIndex(Protocol):
    """Results of earlier runs by cache key."""

    def look_up(self, keys: Sequence[str]) -> Mapping[str, CacheEntry]: ...
    def reads_for(self, keys: Sequence[str]) -> bool:
        """True if looking these keys up would wait for the store; itself it never waits."""
        ...

    def publish(self, entries: Sequence[CacheEntry]) -> None: ...


class CacheEntry(Protocol):
    """One reusable result."""

    key: str
    created_us: int
    run: str
    action_id: str
    task: str
    outputs: str


class Codecs(Protocol):
    """Turns Python values into encoded ones and back (`codec/payload`)."""

    def encode(
        self,
        values: Mapping[str, Any],
        types: Mapping[str, Any],
        store: ValueStore,
        owner: str,
        *,
        are_inputs: bool = True,
    ) -> Payload:
        """Encode; raises `TypeError` (wrong value) or `UnserializableInputError`.

        `owner` names task and side for messages, such as "task 'env.f', input".
        """
        ...

    def decode(
        self, payload: Payload, types: Mapping[str, Any], store: ValueStore
    ) -> dict[str, Any]:
        """The Python values; raises `DigestMismatchError` for corrupt data."""
        ...

    def decode_one(self, value: EncodedValue, type_: Any, store: ValueStore) -> Any: ...

    def renewed(
        self, payload: Payload, types: Mapping[str, Any], store: ValueStore, owner: str
    ) -> Payload:
        """A payload of the record, with the code that its values name as it is now."""
        ...


class RunLink(Protocol):
    """A run, as its handle sees it: in this process, or over the cluster."""

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until the run has ended (True) or the time is over (False)."""
        ...

    def settled(self) -> Settled | None:
        """How the root ended; None while it runs.

        Raises:
            FlyteRayError: the run could not be carried to an end (fenced, store away).
        """
        ...

    def progress(self) -> Progress | None:
        """A look at the run; None where its host cannot be asked."""
        ...

    def abort(self, reason: str) -> None:
        """Ask for the end of the run and of all below it; returns at once."""
        ...


class Clock(Protocol):
    """Time, so that tests can move it."""

    def now(self) -> datetime:
        """Wall time in UTC, for the record only."""
        ...

    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> Awaitable[None]: ...
