"""
Compares how fast pages respond without jobs and with a hundred jobs. One run has both phases: first without
jobs, then with them, round after round.
"""

import json
import subprocess
import threading
from argparse import ArgumentParser
from datetime import datetime
from statistics import quantiles
from typing import Any, NamedTuple

from locust import FastHttpUser, between, events, task
from locust.env import Environment


class Reader(FastHttpUser):
    """A user who opens the first page of any application."""

    wait_time = between(0.1, 0.3)

    @task
    def first_page(self) -> None:
        """GET /"""
        self.client.get("/")


class Searcher(FastHttpUser):
    """A user who searches in `word_search`, which submits a log entry each time."""

    wait_time = between(0.1, 0.3)

    @task
    def search(self) -> None:
        """POST /search"""
        self.client.post("/search", data={"phrase": "life, the universe and everything", "letters": "aeiou"})


class Seen(NamedTuple):
    """A request: its page, its start in seconds since 1970, its duration in ms."""

    page: str
    began: float
    ms: float


_seen: list[Seen] = []
_all_users_are_there = threading.Event()


@events.init_command_line_parser.add_listener
def _options(parser: ArgumentParser) -> None:
    parser.add_argument("--quiet-seconds", type=float, default=10, help="length of the phase without jobs")
    parser.add_argument("--rounds", type=int, default=5, help="how often all jobs are started together")
    parser.add_argument(
        "--bound",
        type=float,
        default=5,
        help="exit 1 if p95 with jobs is more than this many times p95 without",
    )


@events.request.add_listener
def _note(request_type: str, name: str, start_time: float, response_time: float, **_: Any) -> None:
    _seen.append(Seen(f"{request_type} {name}", start_time, response_time))


@events.spawning_complete.add_listener
def _begin(user_count: int) -> None:
    _seen.clear()
    _all_users_are_there.set()


@events.test_start.add_listener
def _start(environment: Environment) -> None:
    threading.Thread(target=_run, args=[environment], name="rounds").start()


def _run(environment: Environment) -> None:
    """Run both phases, then end the test."""
    options: Any = environment.parsed_options
    environment.process_exit_code = 1
    try:
        _all_users_are_there.wait()
        threading.Event().wait(options.quiet_seconds)
        without = list(_seen)
        rounds = [_round() for _ in range(options.rounds)]
        during = [one for one in _seen if any(first <= one.began <= last for first, last in rounds)]
        are_fast = [
            _judge(page, without, during, options.bound) for page in sorted({one.page for one in _seen})
        ]
        failed = environment.stats.total.num_failures
        print(f"failed requests: {failed}")
        environment.process_exit_code = int(failed > 0 or not all(are_fast))
    finally:
        if environment.runner:
            environment.runner.quit()


def _round() -> tuple[float, float]:
    """Run all jobs once. Return the first start and the last end, in seconds since 1970."""
    done = subprocess.run(
        ["tminus", "run-now", "--all", "--yes", "--json"], stdout=subprocess.PIPE, check=False
    )
    if done.returncode:
        raise SystemExit  # the command has printed the reason
    runs = json.loads(done.stdout)
    return min(_seconds(one["started_at"]) for one in runs), max(_seconds(one["finished_at"]) for one in runs)


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()


def _judge(page: str, without: list[Seen], during: list[Seen], bound: float) -> bool:
    """Print the result of a page. Return whether it is fast enough."""
    quiet, busy = ([one.ms for one in phase if one.page == page] for phase in (without, during))
    if min(len(quiet), len(busy)) < 20:
        print(
            f"{page}: too few requests for a p95, {len(quiet)} without jobs and {len(busy)} with them; "
            "give it more users"
        )
        return False
    quiet_ms, busy_ms = quantiles(quiet, n=20)[-1], quantiles(busy, n=20)[-1]
    ratio = busy_ms / quiet_ms
    print(
        f"{page}: p95 {quiet_ms:.1f} ms without jobs, {busy_ms:.1f} ms with them, ratio {ratio:.2f}, at "
        f"most {bound:g}"
    )
    return ratio <= bound
