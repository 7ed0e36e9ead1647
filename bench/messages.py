"""
Messages: how long after a failed start does a local webhook know of it, while a hundred jobs are due every
second? Each failure is told once.
"""

import http.server
import json
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from bench.figures import percentile_ms
from bench.listener import QuietHandler, serving
from bench.server import Server, courses
from bench.table import Verdict, at_most, none_of
from bench.tminus_run import at, daemon, jobs_text
from bench.waiting import SECOND, pause, wait_until, whole_second

#: Jobs that succeed beside the one that fails.
_JOBS = 100
#: Target: from T to the arrival of the message.
P99_S = 5.0
_FIRST_T_S = 2
#: Time until the last messages have arrived.
_LATE_S = 6
#: Nobody listens there, so that the job cannot be sent.
_NOBODY = "http://127.0.0.1:1/"


class Receiver:
    """A webhook that notes when each occurrence was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []  #: id, and nanoseconds from T to the arrival
        receiver = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                now_ns = time.time_ns()
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for one in document["data"]["occurrences"]:
                    t_ns = round(datetime.fromisoformat(one["fire_time"]).timestamp()) * SECOND
                    receiver.told.append((one["id"], now_ns - t_ns))
                self.send_response(204)
                self.end_headers()

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def serve(self) -> AbstractContextManager[None]:
        """Serve within the block."""
        return serving(self._server, "receiver")


def measure(seconds: int) -> list[Verdict]:
    """Let a job fail every second, for this long. Print the figures, and judge them."""
    receiver = Receiver()
    with (
        tempfile.TemporaryDirectory(prefix="tminus-messages-") as folder,
        Server(Path(folder) / "server", log=False) as server,
        receiver.serve(),
    ):
        course = next(courses(server, "messages"))
        schedule, urls = {"every": "1s"}, [f"{course.url}{index}" for index in range(_JOBS)]
        # allow_all: a delayed batch on a busy machine must not skip the next one.
        fails = {"schedule": schedule, "http": _NOBODY, "notify": ["hook"], "overlap": "allow_all"}
        file = json.loads(jobs_text(urls, schedule, others={"fails": fails}, overlap="allow_all"))
        file["notify"] = {"hook": {"webhook": receiver.url, "throttle": "0s"}}
        with daemon(json.dumps(file)) as one:
            one.start()
            first_ns = whole_second(_FIRST_T_S)
            print(
                f"a job fails every second beside {_JOBS} others, {seconds} s from {at(first_ns)}", flush=True
            )
            wait_until(first_ns + seconds * SECOND)
            pause(_LATE_S)
            one.stop()
    return judge([f"fails@{at(first_ns + second * SECOND)}" for second in range(seconds)], receiver.told)


def judge(due: Sequence[str], told: Sequence[tuple[str, int]]) -> list[Verdict]:
    """
    Judge that each failure was told once, and soon.

    Args:
        due: The occurrences that had to fail.
        told: Each occurrence that a message told of, also others, and nanoseconds from its T to the arrival.
    """
    wanted, times = set(due), Counter(identity for identity, _ in told)
    took = sorted(took_ns for identity, took_ns in told if identity in wanted)
    if not took:
        return [Verdict(False, f"0 of {len(due)} failures were told")]
    p50, p99, last = (percentile_ms(took, share) for share in (0.5, 0.99, 1))
    print(f"from T to the message: {p50:.0f} ms (p50), {p99:.0f} ms (p99), {last:.0f} ms (the last)")
    return [
        none_of("failures that were not told", wanted - times.keys(), len(due)),
        none_of("failures that were told more than once", (one for one in times if times[one] > 1), len(due)),
        at_most("from a failed start to its message, p99", p99 / 1000, P99_S, unit=" s"),
    ]
