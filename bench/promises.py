"""
What tminus promises on one machine, and which verdicts of the soak and which tests show it.

A promise has a figure for each `Judged`: the violations of all runs of the parts, and the cases.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from bench.results import Result
from bench.table import Verdict

NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Judged:
    """
    Verdicts of a part of the soak.

    Attributes:
        part: The name of the part; a pattern names several.
        what: Words that the verdicts have, and no others of the part.
    """

    part: str
    what: str


@dataclass(frozen=True, slots=True)
class ByTest:
    """A test of `make test`: file and name."""

    test: str


@dataclass(frozen=True, slots=True)
class Measured:
    """A page that has the figures."""

    page: str


Source = Judged | ByTest | Measured


@dataclass(frozen=True, slots=True)
class Promise:
    """
    A promise to users.

    Attributes:
        number: Its number in the project's plan; empty for a promise that was made later.
    """

    number: str
    words: str
    sources: tuple[Source, ...]


_ROUNDS = "torture-*"
_BROKEN_DISK = "faults/test_broken_disk.py"
PROMISES = (
    Promise(
        "P1",
        "Each due fire time of each job has exactly one outcome, whatever is killed and whenever",
        (
            Judged(_ROUNDS, "due fire times without a row"),
            Judged(_ROUNDS, "due fire times covered twice"),
            Judged(_ROUNDS, "rows without an outcome"),
            Judged("crash-points", "violations after kills at crash points"),
            Judged("system-calls", "violations after kills at system calls"),
        ),
    ),
    Promise(
        "P2",
        "Nothing is sent twice: an attempt sends one request, besides the redirects that the job allows",
        (
            Judged(_ROUNDS, "arrivals of one attempt more than once"),
            Judged("jobs", "more than once in the server's log"),
            Judged("database-away", "arrived more than once"),
            ByTest(
                "integration/executors/test_one_arrival.py::test_two_hundred_whose_connections_die_arrive_once_each"
            ),
        ),
    ),
    Promise(
        "P3",
        "An attempt whose connection or process died after it may have been sent never counts as "
        "`succeeded` or `missed`: it is unknown, or `failed` for a lost GET, HEAD, OPTIONS or TRACE",
        (
            Judged(_ROUNDS, "outcomes that the witnesses contradict"),
            ByTest(
                "faults/test_killed_daemon.py::test_what_was_released_and_not_answered_is_unknown_and_not_sent_again"
            ),
        ),
    ),
    Promise(
        "P4",
        "What is claimed and not released was not sent. It runs after the next start, or is `missed`",
        (
            Judged("database-away", "claimed before and not succeeded"),
            ByTest(
                "faults/test_killed_daemon.py::test_what_was_claimed_and_not_released_runs_once_after_the_next_start"
            ),
        ),
    ),
    Promise(
        "P5",
        "Nothing starts before its T",
        (
            Judged(_ROUNDS, "arrivals before their T"),
            Judged("clock", "cells with a start before T"),
            Judged("after-an-hour", "requests before their fire time"),
        ),
    ),
    Promise(
        "P6",
        "All jobs of a batch start soon after T, close together",
        (Measured("benchmarks.md"),),
    ),
    Promise(
        "P7",
        "A job that hangs, fails or breaks delays and fails no other job",
        (
            Judged(_ROUNDS, "jobs that had not recovered"),
            ByTest("faults/test_one_job_breaks.py::test_a_job_that_breaks_in_any_step_costs_itself_alone"),
            ByTest(
                "integration/executors/test_misbehaving_servers.py::test_everyone_else_succeeds_and_starts_before_the_slow_ones_end"
            ),
        ),
    ),
    Promise(
        "P10",
        "A step of the wall clock starts nothing twice, and loses no fire time",
        (
            Judged("clock", "cells with an occurrence that started more than once"),
            Judged("clock", "cells with fire times that no row, or more than one row, stands for"),
            Judged("clock", "cells with another outcome than their policy says"),
            Judged("clock", "occurrences doubled by a step of ten years"),
            Judged("clock", "growth of the peak RSS by a step of ten years"),
        ),
    ),
    Promise(
        "P11",
        "With the default `dst`, fire times are those of Debian's cron, in each time zone, from 2020 to 2037",
        (
            Judged("fire-times", "fire times differ from cron's rules"),
            Judged("fire-times", "fire times differ from the real cron's"),
        ),
    ),
    Promise(
        "P12",
        "After downtime each fire time ends as the policies of its job say",
        (
            Judged("after-an-hour", "fire times that no row, or more than one row, stands for"),
            Judged("after-an-hour", "jobs whose fire times ended otherwise than their policies say"),
            Judged("after-an-hour", "jobs whose fire times did not run in their order"),
            Judged("after-an-hour", "catch-ups at once"),
        ),
    ),
    Promise(
        "P13",
        "A full, read-only or failing disk, or an absent database, stops new starts and loses no outcome. "
        "Once it is back, jobs start again without help",
        (
            Judged("database-away", "rows without an outcome"),
            Judged("database-away", "claimed before and missed"),
            ByTest(
                f"{_BROKEN_DISK}::test_a_disk_that_takes_nothing_for_a_while_costs_only_what_was_due_meanwhile"
            ),
            ByTest(f"{_BROKEN_DISK}::test_outcomes_that_a_full_disk_did_not_take_survive_kill_9"),
        ),
    ),
    Promise(
        "P14",
        "Accepted work is done. It is on the disk before `run-now` or `submit` says so. A power cut is not "
        "simulated",
        (
            Judged(_ROUNDS, "run-nows lost or doubled"),
            Judged(_ROUNDS, "accepted submits lost"),
            Judged("background", "accepted, but neither succeeded nor unknown"),
            Judged("background", "called more often than recorded"),
            ByTest("conformance/test_durability.py::test_sqlite_writes_to_the_disk_before_it_says_so"),
        ),
    ),
    Promise(
        "P15",
        "SIGTERM ends the daemon within `shutdown_grace` + 5 s, a second one within 2 s, and nothing "
        "that was released is without an outcome",
        (
            Judged(_ROUNDS, "ends by SIGTERM that took too long"),
            Judged(_ROUNDS, "processes left behind"),
            ByTest(
                "process/test_shutdown.py::test_what_has_no_answer_when_the_grace_is_over_is_unknown",
            ),
        ),
    ),
    Promise(
        "P16",
        "Memory, files and threads do not grow, and the ledger grows by a known number of bytes",
        (
            Judged("jobs", "memory of daemon and executors"),
            Judged("growth", "per occurrence"),
            ByTest("integration/executors/test_process.py::test_sixty_shards_leave_nothing_behind"),
        ),
    ),
    Promise(
        "P17",
        "Invalid input never stops the daemon and changes no active job. Errors name file, line and key",
        (
            Judged(_ROUNDS, "commands that ended with a traceback"),
            ByTest("unit/jobsfile/test_broken_files.py::test_says_exactly_what_is_wrong"),
            ByTest("unit/jobsfile/test_fuzzing.py::test_any_bytes"),
            ByTest(
                "process/test_reload.py::test_a_bad_file_keeps_the_old_one_running_and_says_why_and_where"
            ),
        ),
    ),
    Promise(
        "P18",
        "A reload takes effect as a whole or not at all, and neither loses nor doubles a fire time",
        (
            ByTest(
                "process/test_reload.py::test_reloads_in_the_middle_of_countdowns_lose_and_double_no_fire_time"
            ),
        ),
    ),
    Promise(
        "P20",
        "Secrets of the jobs file appear in no log, page, output, message or row",
        (ByTest("process/test_secrets.py::test_the_canary_is_seen_by_the_server_alone"),),
    ),
    Promise(
        "",
        "A chain calls no link twice and starts no job twice",
        (Judged(_ROUNDS, "links that the witnesses contradict"),),
    ),
    Promise(
        "",
        "A deploy under load fails no background run and calls none twice",
        (Judged("deploy", "not succeeded"), Judged("deploy", "called more than once")),
    ),
    Promise(
        "",
        "Without faults, each failure reaches the webhook once, with a p99 under 5 s from its T "
        "([notifications.md](notifications.md))",
        (
            Judged("messages", "failures that were not told"),
            Judged("messages", "failures that were told more than once"),
            Judged("messages", "from a failed start to its message, p99"),
        ),
    ),
    Promise(
        "",
        "No daemon ends by itself, unless another one has taken the lock of its ledger",
        (Judged(_ROUNDS, "unrequested ends of a daemon"),),
    ),
)


def parts_of(source: Source, results: Iterable[Result]) -> list[Result]:
    """Return the results that have verdicts of this source."""
    if not isinstance(source, Judged):
        return []
    return [
        one
        for one in results
        if fnmatch(one.part, source.part) and any(source.what in verdict.words for verdict in one.verdicts)
    ]


def figure(source: Source, results: Sequence[Result]) -> str:
    """Format what a source has shown: violations of cases, the worst value, or that it was not run."""
    if isinstance(source, ByTest):
        return "`make test`"
    if isinstance(source, Measured):
        return f"[{source.page}]({source.page})"
    found = list(_verdicts(source, results))
    if not found:
        return NOT_RUN
    cases = [verdict.of for verdict in found if verdict.of is not None]
    if len(cases) == len(found):
        text = f"{sum(int(verdict.value or 0) for verdict in found):,} of {sum(cases):,}"
    else:
        # A value that was not measured is the worst.
        worst = max(found, key=lambda one: (not one.ok, one.value is None, one.value or 0))
        text = worst.words.splitlines()[0].removeprefix(source.what).lstrip(": ")
    return text if all(verdict.ok for verdict in found) else f"**{text}**"


def _verdicts(source: Judged, results: Iterable[Result]) -> Iterator[Verdict]:
    for one in parts_of(source, results):
        yield from (verdict for verdict in one.verdicts if source.what in verdict.words)
