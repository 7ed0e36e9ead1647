"""When the phases of a request ended, as its executor reports them."""

from collections.abc import Mapping

from tests.support.executor import ExecutorProcess, a_request, many
from tests.support.target import Authority, TargetServer, black_hole
from tminus.executors.protocol import AttemptResult
from tminus.instants import MS
from tminus.outcome import Phase


def in_order(finished: AttemptResult) -> Mapping[str, int]:
    """Return all phases, once it is sure that each ended after the one before."""
    phases = {**finished.phases, Phase.SENT: finished.started_ns, Phase.DONE: finished.finished_ns}
    instants = [phases[phase] for phase in Phase if phase in phases]
    assert instants == sorted(instants)
    return phases


def test_the_phases_of_an_armed_request_lie_around_t(
    executor: ExecutorProcess, either: TargetServer, authority: Authority
) -> None:
    began_ns = executor.clock.wall_ns()
    shard = executor.run_armed(many(3, f"{either.url}/echo", ca=authority.path))
    for index in range(3):
        phases = in_order(shard[index])
        names = {Phase.RESOLVED, Phase.CONNECTED, Phase.ARMED, Phase.SENT, Phase.FIRST_BYTE, Phase.DONE}
        assert phases.keys() == names | ({Phase.TLS} if either.url.startswith("https") else set())
        assert began_ns < phases[Phase.RESOLVED]
        assert phases[Phase.ARMED] < shard.release_at_ns <= phases[Phase.SENT]
        arrival = next(one for one in either.arrivals if one.path.endswith(f"/{index}"))
        assert phases[Phase.FIRST_BYTE] >= arrival.at_ns


def test_the_phases_of_an_unarmed_request_follow_t(
    executor: ExecutorProcess, either: TargetServer, authority: Authority
) -> None:
    shard = executor.run_unarmed([a_request(f"{either.url}/ok", ca=authority.path)])
    phases = in_order(shard[0])
    assert Phase.ARMED not in phases
    assert (Phase.TLS in phases) is either.url.startswith("https")
    assert phases[Phase.RESOLVED] >= shard.release_at_ns


def test_a_connection_that_was_closed_before_t_is_not_in_the_phases(executor: ExecutorProcess) -> None:
    with TargetServer() as target:
        shard = executor.arm_all([a_request(target.url)])
        target.close_connections()
        executor.release(shard)
        phases = in_order(executor.collect(shard)[0])
    assert Phase.ARMED not in phases
    assert phases[Phase.CONNECTED] >= shard.release_at_ns


def test_a_request_without_connection_has_only_the_phases_that_it_reached(executor: ExecutorProcess) -> None:
    with black_hole() as port:
        finished = executor.run_unarmed([a_request(f"http://127.0.0.1:{port}/", connect_ms=200)])[0]
    assert finished.phases.keys() == {Phase.RESOLVED}
    assert finished.finished_ns - finished.phases[Phase.RESOLVED] >= 190 * MS


def test_after_redirects_only_the_first_response_is_in_the_phases(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    url = f"{target.url}/redirect?to={target.url}/ok"
    finished = executor.run_unarmed([a_request(url, follow=1)])[0]
    assert finished.status == 200
    assert finished.phases.keys() == {Phase.FIRST_BYTE}
