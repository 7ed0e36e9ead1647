"""
The messages between the daemon and its executors. Standard library only, because runners import them.

There are two kinds of orders. *Batch*: `Arm` a shard, then `Release` it at T or `Withdraw` it. The executor
reports `Armed`, `AttemptResults` and `ShardEnded`. *Call*: run one function now, until it has `Returned` or
has to `Stop`. The format of a message in the pipe is in `http/wire.py` and `python/wire.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from tminus.errors import LedgerError, LockTimeout, TminusError, UsageError
from tminus.outcome import Cause

#: The version of these messages. If an executor has another one, the daemon reports that. It does not replace
#: the executor.
VERSION = 8

#: The errors that a request of a job may get. Any other one becomes the nearest of its base classes.
JOB_ERRORS = (LedgerError, LockTimeout, UsageError, TminusError)

#: What one occurrence is for its executor: a request or a piece of Python work. Each has an `index`.
Item = TypeVar("Item", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm(Generic[Item]):
    """
    Arm a shard. It is held until `Release`, and released at T.

    Attributes:
        release_at_ns: T, wall clock.
        deadline_ns: By then all its parties are at the barrier, armed or not.
        give_up_ns: If there is no `Release` by then, nothing is started.
        realtime: Whether to take a real-time priority around T, if that is allowed.
        lanes: The number of lanes; None: chosen by the shard's size.
        max_connections: The most connections of the lanes; None: by the descriptor limit.
        slots: The first slot of the shard in a runner's start table. A work has this slot plus its index.
        one_by_one: Whether a runner prepares the works one after another.
    """

    shard: int
    release_at_ns: int
    deadline_ns: int
    give_up_ns: int
    realtime: bool
    works: Sequence[Item]
    lanes: int | None = None
    max_connections: int | None = None
    slots: int = 0
    one_by_one: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The commit is durable: release the shard at T, except for the withdrawn works."""

    shard: int
    withdrawn: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw:
    """Start nothing of the shard."""

    shard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """
    Cancel a work of a released shard: abort its request, or ask its function to stop. If it has not started,
    it never does. Its result says that it is `cancelled`.
    """

    shard: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Item]):
    """
    Run a work now, and report its result.

    Attributes:
        call: Its number; shards and calls of an executor are numbered together.
        slot: Its slot in the start table.
    """

    call: int
    slot: int
    work: Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The call was cancelled: ask its function to stop. If the function was not entered, it never is."""

    call: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResponse:
    """
    The daemon's response to a `JobRequest`.

    Attributes:
        value: The value, or the sentence of an error.
        kind: The class of the error: one of `JOB_ERRORS`, or another one after a bug; empty without an error.
    """

    pid: int
    number: int
    value: Any = None
    kind: str = ""
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """
    The executor is ready for work.

    Attributes:
        realtime: Whether a real-time priority is allowed.
        error: Why it cannot work; empty if it can.
        jobs: The jobs that the application's code defines, as `registry.code_jobs` finds them.
    """

    version: int
    pid: int
    realtime: bool = False
    error: str = ""
    jobs: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """
    All parties of the shard are at the barrier.

    Attributes:
        armed: The number of primed connections, or of works that are ready to be entered.
        took_ns: The time until the last of them was ready.
    """

    shard: int
    armed: int
    took_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """
    The result of one attempt.

    Attributes:
        started_ns: When its request left, or its function was entered, wall clock; 0 if it did not start, or
            if that is unknown.
        finished_ns: When it ended, wall clock.
        status: The status of a response; 0 for a function.
        cause: A word of `outcome.Cause` if it failed; otherwise None.
        detail: A sentence for people about the cause.
        unknown: Whether it is unknown if the request arrived.
        cancelled: Whether it has ended after a `Cancel`.
        not_in_code: Whether it was not started because the loaded code does not have its function, or only
            with other arguments.
        late: Whether it was not started because it was released later than its `latest_ns`.
        still_runs: Whether its time is over and its thread has not ended. `Left` follows at the thread's end.
        body: The body of a response, or the result of a function as JSON.
        output: What the function printed and logged.
        traceback: The user's own frames, if the function raised.
        phases: When each phase ended that it has reached, except its start and its end; wall clock, by the
            words of `outcome.Phase`.
        raised: The class of the exception that the function raised, and its bases, as `module.Name`.
    """

    index: int
    finished_ns: int
    started_ns: int = 0
    duration_ns: int = 0
    armed: bool = False
    status: int = 0
    cause: str | None = None
    detail: str = ""
    unknown: bool = False
    not_in_code: bool = False
    late: bool = False
    cancelled: bool = False
    still_runs: bool = False
    headers: Sequence[str] = ()
    body: bytes = b""
    body_size: int = 0
    output: bytes = b""
    traceback: str = ""
    raised: Sequence[str] = ()
    phases: Mapping[str, int] = field(default_factory=dict)

    def unreportable(self, detail: str) -> "AttemptResult":
        """
        Return the report in place of a result that cannot be encoded: unknown if the attempt was started,
        otherwise failed.
        """
        return AttemptResult(
            index=self.index,
            started_ns=self.started_ns,
            finished_ns=self.finished_ns,
            duration_ns=self.duration_ns,
            armed=self.armed,
            cause=Cause.EXECUTOR,
            detail=detail,
            unknown=self.unknown or self.started_ns > 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResults:
    """The attempts of a shard that have ended since the last such report."""

    shard: int
    finished: Sequence[AttemptResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardEnded:
    """
    The shard is done. Each of its works is in some `AttemptResults`, or none was started (`released` is
    False).
    """

    shard: int
    released: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of a call: a fraction, from 0 to 1, and a text."""

    call: int
    fraction: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """A call has ended. If its result is `late`, its function was not entered."""

    call: int
    result: AttemptResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """The thread of a job that was written off has ended."""

    shard: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """
    Threads that were written off do not end, or a command broke. Further work belongs to a new runner.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Broke:
    """
    An unforeseen error, for the daemon's log; its consequences are in the `AttemptResults`.

    Attributes:
        index: The index of the request; None if the error was not in a step of one request.
        error: The name of the error's class, without its text, which may quote a secret.
    """

    shard: int
    index: int | None
    error: str
    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """
    A request of a job to the daemon.

    Attributes:
        pid: The process of the job: the runner, or that of an isolated job.
        number: Identifies the response, together with `pid`.
        what: `submit`, `lock`, `unlock`, `ask`, `find_answer`, or an operation of `ledger.state`.
        given: Its arguments; for `submit`, `submissions`: the fields of each.
    """

    pid: int
    number: int
    what: str
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessExited:
    """
    A process that may have sent a `JobRequest` has ended. The fork server reports the process of an isolated
    job that has sent one. The supervisor in the daemon makes this report when an executor process ends.
    """

    pid: int


#: What the HTTP executor reports.
HttpReport = Hello | Armed | AttemptResults | ShardEnded | Broke
#: What a runner reports.
RunnerReport = (
    Hello
    | Armed
    | AttemptResults
    | ShardEnded
    | Returned
    | Progress
    | Left
    | Spent
    | JobRequest
    | ProcessExited
)
Report = HttpReport | RunnerReport
#: A message in either direction.
Message = Arm[object] | Release | Withdraw | Cancel | Call[object] | Stop | JobResponse | Report


def version_error(hello: Hello) -> str:
    """Return why an executor with another version of the protocol cannot be used; empty if it has ours."""
    if hello.version == VERSION:
        return ""
    return (
        f"it speaks version {hello.version} of tminus's protocol and the daemon version {VERSION}: "
        "tminus was replaced while the daemon ran, start the daemon again"
    )
