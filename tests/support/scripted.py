"""
An executor without a process: it answers each command as a script says, on the thread that sends it.

`ScriptedExecutor` stands in for a `Supervisor`, and `running` builds a runtime around it: a real ledger, a real
recorder, and a clock that moves only if the script moves it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from tests.support.fake_clock import FakeClock
from tminus.daemon.attempts.recorder import Recorder
from tminus.daemon.processes.channels import HttpChannel
from tminus.daemon.processes.commands import AnyWork, Command, Event, Order, OrderHandle, works_of
from tminus.daemon.runtime import Runtime
from tminus.executors.protocol import Arm, Armed, AttemptResult, AttemptResults, Release, ShardEnded
from tminus.instants import MS
from tminus.ledger import instances
from tminus.ledger.engine import Ledger
from tminus.model.definitions import Definitions
from tminus.release.gate import Gate

if TYPE_CHECKING:
    from tminus.daemon.processes.executors import Executors

#: This long before T the commit is due, whatever the lead.
AT_COMMIT_NS = 100 * MS
#: What happens upon a command; the shard is the one that the command is about.
Script = Callable[["ScriptedExecutor", OrderHandle, Command], object]


class ScriptedExecutor:
    """
    As much of `Supervisor` and of `Executors` as a countdown uses.

    Args:
        script: Called with each command.

    Attributes:
        commands: All commands so far.
        replaced: The shards for which it was to be replaced.
        armed: The works of each shard, by its number.
        on_replace: Called when it was to be replaced.
    """

    def __init__(self, script: Script) -> None:
        self.name = "http-1@here"
        self.channel = HttpChannel("here")
        self.may_be_realtime = False
        self.commands: list[Command] = []
        self.replaced: list[OrderHandle] = []
        self.armed: dict[int, Sequence[AnyWork]] = {}
        self.on_replace: Callable[[], object] = lambda: None
        self._script = script
        self._shards: dict[int, OrderHandle] = {}

    def executor_for(self, _target: object) -> "ScriptedExecutor":
        """Return the executor for a target: itself."""
        return self

    def start(self, *_: object) -> None:
        """Start nothing."""

    stop = start

    def is_well(self) -> bool:
        """Return True."""
        return True

    def code_jobs(self) -> Mapping[str, Sequence[object]]:
        """Return the jobs that the code of applications defines: none."""
        return {}

    def send(
        self,
        make: Callable[[int, Sequence[Order]], Order],
        on_event: Callable[[OrderHandle, Event], None],
        *,
        answer_by_ns: int,
    ) -> OrderHandle:
        """Take a shard."""
        number = len(self._shards) + 1
        command = make(number, ())
        shard = self._shards[number] = OrderHandle(number, command, on_event, answer_by_ns=answer_by_ns)
        self.armed[number] = works_of(command)
        self._take(shard, command)
        return shard

    def write(self, command: Any) -> None:
        """Take another command."""
        self._take(self._shards[command.shard], command)

    def forget(self, _shard: OrderHandle) -> bool:
        """Return False: each shard was sent."""
        return False

    def replace(self, shard: OrderHandle) -> None:
        """Note that it was to be replaced."""
        self.replaced.append(shard)
        self.on_replace()

    def _take(self, shard: OrderHandle, command: Command) -> None:
        self.commands.append(command)
        self._script(self, shard, command)


def is_armed(shard: OrderHandle) -> None:
    """Report that all of a shard is armed."""
    shard.report(Armed(shard=shard.number, armed=len(works_of(shard.order)), took_ns=5 * MS))


def has_ended(shard: OrderHandle, *finished: AttemptResult) -> None:
    """Report these results and the end of a shard."""
    shard.report(AttemptResults(shard=shard.number, finished=finished))
    shard.report(ShardEnded(shard=shard.number, released=True))


def a_result(index: int, *, at_ns: int, **different: Any) -> AttemptResult:
    """A response with status 200, 5 ms after its request left."""
    values: dict[str, Any] = {"status": 200, "armed": True}
    return AttemptResult(
        index=index,
        started_ns=at_ns,
        finished_ns=at_ns + 5 * MS,
        duration_ns=5 * MS,
        **{**values, **different},
    )


def runs_well(clock: FakeClock) -> Script:
    """Arm, wait for the commit, and answer each request 1 ms after T."""

    def script(_executor: ScriptedExecutor, shard: OrderHandle, command: Command) -> None:
        match command:
            case Arm(release_at_ns=t_ns):
                is_armed(shard)
                clock.sleep_until(t_ns - AT_COMMIT_NS)
            case Release(withdrawn=withdrawn):
                assert isinstance(shard.order, Arm)
                t_ns = shard.order.release_at_ns
                clock.sleep_until(t_ns + MS)
                indices = [work.index for work in shard.order.works if work.index not in withdrawn]
                has_ended(shard, *(a_result(index, at_ns=t_ns + MS) for index in indices))

    return script


@contextmanager
def running(
    ledger: Ledger,
    definitions: Definitions,
    executor: ScriptedExecutor,
    clock: FakeClock,
    *,
    starts: bool = True,
) -> Iterator[Runtime]:
    """A runtime with this executor; its recorder writes, unless `starts` is False."""
    gate = Gate(clock)
    runtime = Runtime(
        clock=clock,
        ledger=ledger,
        instance=instances.register(ledger, kind="daemon", config_version=None, now_ns=clock.wall_ns()),
        definitions=definitions,
        executors=cast("Executors", executor),
        recorder=Recorder(ledger, gate=gate, clock=clock),
        gate=gate,
    )
    if starts:
        runtime.recorder.start()
    try:
        yield runtime
    finally:
        runtime.recorder.stop(10)
