"""Which part of a batch an occurrence joins."""

from scheduler.clock import SystemClock
from scheduler.daemon.channels import Lanes
from scheduler.daemon.flight import MOST_BYTES, Flight, joined
from scheduler.daemon.redaction import Redaction
from scheduler.daemon.supervisor import Supervisor
from tests.support.executor import a_request
from tests.support.values import a_due


def test_a_part_of_a_batch_carries_some_mib_and_the_next_work_begins_another_one() -> None:
    clock = SystemClock()
    lanes = Supervisor(Lanes("here"), clock=clock)
    flights: list[Flight] = []
    bodies = [b"x" * (MOST_BYTES // 2), None, b"x" * (MOST_BYTES // 2), b"x", None]
    for index, body in enumerate(bodies):
        flight = joined(flights, lambda: lanes, clock=clock, tell=lambda *_: None)
        flight.add(index, a_due(fire_time_ns=index), a_request("http://x/", index, body=body), Redaction())
    assert [list(flight.outstanding) for flight in flights] == [[0, 1, 2], [3, 4]]
