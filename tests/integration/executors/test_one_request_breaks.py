"""An error in any step of a lane costs the request that the step was for, and no other."""

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.executor import a_request
from tests.support.faults import fault_in, recording
from tests.support.lanes import Lanes
from tests.support.moments import PATIENCE_S, stretched
from tests.support.target import TargetServer
from tminus.clock import SystemClock
from tminus.executors.http.executor import Executor
from tminus.executors.http.wire import Request
from tminus.executors.protocol import (
    Arm,
    Armed,
    AttemptResult,
    AttemptResults,
    Broke,
    HttpReport,
    Release,
    ShardEnded,
)
from tminus.instants import MS, SECOND
from tminus.outcome import Cause

#: The lanes' own process does not turn warnings into errors; PycURL has no other call for it.
pytestmark = pytest.mark.filterwarnings("ignore:socket_all:DeprecationWarning")

COUNT = 50
LEAD_NS = 400 * MS
#: A busy machine may not get as far as the step before T; then the shard is run again, at most this often.
_TRIES = 5
CLOCK = SystemClock()


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """
    What a shard of equal requests goes through.

    Attributes:
        path: What the server does with each request.
        is_sent: Whether the requests leave, if nothing breaks.
        status: What comes back then.
        cause: Why nothing comes back then.
        victims: The first request to go this way, one in the middle, the last.
    """

    path: str = "/ok?"
    is_sent: bool = True
    status: int = 200
    cause: Cause | None = None
    victims: tuple[int, int, int] = (0, 24, 49)
    waits: bool = False  #: there are ten connections only
    is_late: bool = False  #: T, and everybody's grace, is past
    is_withdrawn: bool = False
    hangs_up: bool = False  #: the server closes its connections while they are primed, and once more before T


WAITING = (10, 30, 49)
SCENARIOS = {
    "armed": Scenario(),
    "waiting": Scenario(waits=True, victims=WAITING),
    "late": Scenario(is_late=True, is_sent=False, status=0),
    "late while waiting": Scenario(is_late=True, waits=True, is_sent=False, status=0, victims=WAITING),
    "withdrawn": Scenario(is_withdrawn=True, is_sent=False, status=0),
    "hung up": Scenario(hangs_up=True),
    "redirected": Scenario(path="/redirect?to=/ok&"),
    "dying": Scenario(path="/close?", status=0, cause=Cause.DIED),
    "too large": Scenario(path="/bytes/2000?", cause=Cause.TOO_LARGE),
    "silent": Scenario(path="/stall?", status=0, cause=Cause.TIMEOUT),
}

#: What the victim's request comes to.
FAILED = "failed, and not sent"
UNKNOWN = "unknown, and sent once"
NONE = "the same as without the error"
UNREPORTED = "not reported, which the daemon takes for unknown"

#: Each step of a lane that is for one request, below `tminus.executors.http`: a scenario with it, and what an
#: error in it costs.
STEPS = {
    "first_bytes:FirstBytes.expect": ("armed", UNKNOWN),
    "arming:Arming._start_primer": ("armed", FAILED),
    "arming:Arming._pins": ("armed", FAILED),
    "arming:Arming._prime_again": ("hung up", FAILED),
    "arming:Arming._keep_or_retry": ("armed", FAILED),
    "arming:Arming._end_primer": ("armed", FAILED),
    "lane:Lane._start_transfer": ("waiting", FAILED),
    "lane:Lane._close": ("armed", NONE),
    "lane:Lane._add": ("armed", FAILED),
    "lane:Lane._add_for_release": ("armed", FAILED),
    "lane:Lane._make_transfer": ("armed", FAILED),
    "redirects:forwarded_credentials": ("redirected", UNKNOWN),
    "redirects:leaked_headers": ("redirected", UNKNOWN),
    "request:last_request": ("redirected", UNKNOWN),
    "request:set_connection": ("armed", FAILED),
    "request:set_request": ("waiting", FAILED),
    "results:Results.add": ("armed", UNREPORTED),
    "results:Results.add_late": ("late while waiting", FAILED),
    "results:result_without_transfer": ("late", UNREPORTED),
    "transfer:Transfer._on_connection": ("armed", FAILED),
    "transfer:Transfer._finished": ("armed", UNKNOWN),
    "transfer:Transfer._on_request": ("waiting", FAILED),
    "transfer:Transfer._send_again_or_abort": ("redirected", UNKNOWN),
    "transfer:Transfer._note_descriptor": ("armed", FAILED),
    "transfer:Transfer._phases": ("armed", UNKNOWN),
    "transfer:Transfer._received": ("armed", UNKNOWN),
    "transfer:Transfer._started_ns": ("armed", UNKNOWN),
    "transfer:Transfer.has_response": ("silent", UNKNOWN),
    "transfer:Transfer.end_with": ("silent", UNKNOWN),
    "transfer:Transfer.find_primed": ("armed", FAILED),
    "transfer:Transfer.finish": ("armed", UNKNOWN),
    "transfer:Transfer.disable_prereq_callback": ("armed", FAILED),
    "transfer:Transfer.idle_bytes_matter": ("armed", FAILED),
    "transfer:Transfer.note_departure": ("armed", UNKNOWN),
    "transfer:Transfer.close_after_response": ("waiting", FAILED),
    "transfer:Transfer.prime": ("armed", FAILED),
    "transfer:Transfer.force_fresh_connection": ("hung up", FAILED),
    "transfer:Transfer.read_phases": ("armed", FAILED),
    "transfer:Transfer.unprime": ("armed", FAILED),
    "transfer_errors:_server": ("dying", UNKNOWN),
    "transfer_errors:died": ("dying", UNKNOWN),
    "transfer_errors:no_first_byte": ("silent", UNKNOWN),
    "transfer_errors:too_large": ("too large", UNKNOWN),
    "transfer_errors:classify_failure": ("dying", UNKNOWN),
}
#: What ends a request that an error has ended; there is nothing behind it.
LAST_RESORT = {"lane:Lane._guard", "results:Results.guard", "results:Results.is_settled"}


class Shard:
    """One shard, on an executor in this process, and what is reported of it."""

    def __init__(
        self,
        executor: Executor,
        reports: "queue.SimpleQueue[HttpReport]",
        scenario: Scenario,
        target: TargetServer,
    ) -> None:
        self._executor = executor
        self._reports = reports
        self._scenario = scenario
        self._target = target
        self.release_at_ns = CLOCK.wall_ns() + (-SECOND if scenario.is_late else stretched(LEAD_NS))
        self.finished: dict[int, AttemptResult] = {}
        self.errors: list[Broke] = []

    def run(self) -> None:
        """Arm, release, collect."""
        arm = Arm(
            shard=1,
            release_at_ns=self.release_at_ns,
            deadline_ns=self.release_at_ns - 50 * MS,
            give_up_ns=self.release_at_ns + 20 * SECOND,
            lanes=2,
            max_connections=10 if self._scenario.waits else None,
            realtime=False,
            works=list(self._requests()),
        )
        self._executor.handle_command(arm)
        if self._scenario.hangs_up:
            self._target.wait_for_connections(COUNT - 3)
            self._target.close_connections()
        self._collect(until=Armed)
        if self._scenario.hangs_up:
            self._target.close_connections()
        self._executor.handle_command(
            Release(shard=1, withdrawn=list(range(COUNT)) if self._scenario.is_withdrawn else [])
        )
        self._collect(until=ShardEnded)

    def arrivals(self, index: int) -> int:
        """How often this request arrived, redirects aside."""
        return sum(arrival.path.endswith(f"n={index}") for arrival in self._target.arrivals)

    def _requests(self) -> Iterator[Request]:
        scenario = self._scenario
        for index in range(COUNT):
            yield a_request(
                f"{self._target.url}{scenario.path}n={index}",
                index,
                method="POST",
                body=b"x",
                follow=3 if scenario.path.startswith("/redirect") else 0,
                first_byte_ms=300 if scenario.cause is Cause.TIMEOUT else 20_000,
                latest_ns=self.release_at_ns if scenario.is_late else 1 << 62,
                max_body=1000,
            )

    def _collect(self, *, until: type) -> None:
        report: HttpReport | None = None
        while not isinstance(report, until):
            report = self._reports.get(timeout=PATIENCE_S)
            match report:
                case AttemptResults(finished=finished):
                    assert not {one.index for one in finished} & set(self.finished), "reported twice"
                    self.finished |= {one.index: one for one in finished}
                case Broke():
                    self.errors.append(report)


Run = Callable[[str, TargetServer], Shard]


@pytest.fixture(scope="module")
def run() -> Run:
    """Runs a shard through a scenario, on one executor for all."""
    reports: queue.SimpleQueue[HttpReport] = queue.SimpleQueue()
    executor = Executor(clock=CLOCK, report=reports.put)

    def run_one(scenario: str, target: TargetServer) -> Shard:
        shard = Shard(executor, reports, SCENARIOS[scenario], target)
        shard.run()
        return shard

    return run_one


def index_of(argument: Any) -> int | None:
    """Of a request, a transfer, a report."""
    return getattr(getattr(argument, "request", argument), "index", None)


@pytest.mark.long
def test_the_table_has_every_step_that_is_for_one_request(run: Run) -> None:
    expected = {f"tminus.executors.http.{step}" for step in set(STEPS) | LAST_RESORT}
    found: set[str] = set()
    for _ in range(_TRIES):
        for scenario in SCENARIOS:
            with recording("executors/http", found.add), TargetServer() as target:
                assert run(scenario, target).errors == []
        if found >= expected:
            break
    assert found == expected


@pytest.mark.parametrize("step", STEPS)
def test_an_error_costs_one_request_only(step: str, run: Run) -> None:
    name, cost = STEPS[step]
    victims = SCENARIOS[name].victims

    for _ in range(_TRIES):
        with (
            TargetServer() as target,
            fault_in(
                f"tminus.executors.http.{step}",
                lambda arguments: any(index_of(one) in victims for one in arguments),
            ) as raised,
        ):
            shard = run(name, target)
        if len(raised) >= len(victims):
            break
    assert len(raised) >= len(victims)
    for index in range(COUNT):
        _check(SCENARIOS[name], shard, index, cost if index in victims else NONE)
    assert {(error.error, error.shard) for error in shard.errors} == {("InjectedFault", 1)}
    assert all("raise InjectedFault" in error.traceback for error in shard.errors)


def _check(scenario: Scenario, shard: Shard, index: int, cost: str) -> None:
    finished = shard.finished.get(index)
    if cost is UNREPORTED:
        assert finished is None
        return
    if scenario.is_withdrawn:
        assert (finished, shard.arrivals(index)) == (None, 0)
        return
    assert finished is not None
    found = (finished.cause, finished.unknown, shard.arrivals(index))
    if cost is FAILED:
        assert found == (Cause.EXECUTOR, False, 0)
        assert finished.started_ns == 0
    elif cost is UNKNOWN:
        assert found == (Cause.EXECUTOR, True, 1)
    else:
        is_unknown = scenario.cause is Cause.DIED
        assert found == (scenario.cause, is_unknown, int(scenario.is_sent))
        assert (finished.status, finished.late) == (scenario.status, scenario.is_late)
        assert not scenario.is_sent or finished.started_ns >= shard.release_at_ns


def test_an_error_while_it_is_withdrawn_lets_nothing_leave(run: Run, target: TargetServer) -> None:
    with fault_in("tminus.executors.http.lane:Lane._close", lambda _arguments: True):
        shard = run("withdrawn", target)
    assert (shard.finished, target.arrivals) == ({}, [])


def test_a_request_that_cannot_be_made_names_the_error_and_nothing_of_its_content(
    run: Run, target: TargetServer
) -> None:
    with fault_in(
        "tminus.executors.http.request:set_request", lambda arguments: 7 in map(index_of, arguments)
    ):
        shard = run("armed", target)
    assert shard.finished[7].detail == "an error in tminus ended this request: InjectedFault"
    assert [error.index for error in shard.errors] == [7]


def test_those_that_wait_start_though_all_that_hold_a_connection_break(target: TargetServer) -> None:
    lanes = Lanes()
    lanes.arm(1, f"{target.url}/delay/500?", 6, max_connections=2)
    lanes.until(1, Armed)
    with fault_in(
        "tminus.executors.http.transfer:Transfer.close_after_response",
        lambda arguments: index_of(arguments[0]) in (0, 1),
    ):
        lanes.executor.handle_command(Release(shard=1, withdrawn=[]))
        found = lanes.until(1, ShardEnded)
    assert {index: one.status for index, one in found.items()} == {0: 0, 1: 0, 2: 200, 3: 200, 4: 200, 5: 200}
