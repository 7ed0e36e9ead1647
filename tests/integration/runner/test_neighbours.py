"""
Jobs in threads whose contexts, errors or results are odd: each costs itself, and its neighbours start on
time.
"""

import os
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.runner import a_call, a_view, runner, stopped
from tminus.executors.protocol import Release
from tminus.instants import SECOND

_SHOP = """
import os, threading
from flask import Flask, url_for
from tminus.executors.python.current_occurrence import current_occurrence
from tminus.flask import Failure

app = Flask("shop")
there = threading.Event()

class Sessions(type(app.session_interface)):
    def open_session(self, app, request):
        if request.path == "/hangs":
            there.wait()
        if request.path == "/exits":
            raise SystemExit(3)
        return super().open_session(app, request)

app.session_interface = Sessions()

@app.get("/well")
def page():
    return "well"

@app.get("/headers")
def headers():
    return "well", {"X-Long": "x" * (1 << 20)}

def well(n):
    return n

def lets_go():
    there.set()

class Odd(Exception):
    def __init__(self, say):
        self.say = say
    def __str__(self):
        return self.say()
    __repr__ = __str__

def exits():
    raise SystemExit("no text either")

def raises(what):
    if what == "long":
        raise ValueError("x" * (60 << 20))
    if what == "exit code":
        raise SystemExit(Odd(exits))
    if what == "failure":
        raise Failure("failed", "x" * (60 << 20), Odd(exits))
    raise Odd({"raises": exits, "number": lambda: 7, "half": lambda: "half \\ud800"}[what])

def progresses():
    current_occurrence().progress(0.5, "x" * (60 << 20))
    return "done"
"""


def test_contexts_that_hang_hold_up_no_neighbour_and_end_no_runner(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP) as process:
        hangs = a_call("shop:well", 0, latest_ns=0)
        hangs = replace(hangs, request=a_view(path="/hangs").request)
        works = [hangs, *(a_call("shop:well", n, index=n) for n in range(1, 11))]
        number = process.arm(works, lead_ns=2 * SECOND)
        assert process.wait_until_armed().armed == 10
        process.send(Release(shard=number, withdrawn=[]))
        done = process.results()
        assert done[0].late
        assert all(done[n].armed and done[n].body == str(n).encode() for n in range(1, 11))
        assert process.run(a_call("shop:lets_go"))[0].cause is None


def test_contexts_that_hang_for_a_while_cost_their_own_job_its_punctuality_only(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP) as process:
        hangs = a_call("shop:well", 0)
        hangs = replace(hangs, request=a_view(path="/hangs").request)
        number = process.arm([hangs, a_call("shop:lets_go", index=1)], lead_ns=SECOND)
        assert process.wait_until_armed().armed == 1
        process.send(Release(shard=number, withdrawn=[]))
        done = process.results()
        assert (done[0].body, done[0].armed, done[1].armed) == (b"0", False, True)
        assert done[0].started_ns >= done[1].started_ns


def test_contexts_that_exit_fail_and_were_not_sent(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP) as process:
        exits = a_call("shop:well", 0)
        exits = replace(exits, request=a_view(path="/exits").request)
        done = process.run(exits, a_call("shop:well", 1, index=1))
        assert (done[0].cause, done[0].detail, done[0].started_ns) == (
            "exception",
            "sys.exit(3) ended the job",
            0,
        )
        assert done[1].body == b"1"


def test_what_a_job_raises_is_bounded_and_costs_itself_whatever_it_does_meanwhile(
    tmp_path: Path,
) -> None:
    said = {
        "long": f"ValueError: {'x' * 4084}… (cut, ",
        "exit code": "sys.exit(…) ended the job",
        "failure": "Failure",
        "raises": "Odd",
        "number": "Odd",
        "half": "Odd: half \\ud800",
    }
    with runner(tmp_path, _SHOP) as process:
        works = [a_call("shop:raises", what, index=index) for index, what in enumerate(said)]
        works += [
            a_call("shop:progresses", index=20),
            a_view(21, path="/headers"),
            a_call("shop:well", 22, index=22),
        ]
        done = process.run(*works)
        for index, words in enumerate(said.values()):
            assert done[index].cause == "exception"
            assert done[index].detail.startswith(words)
            assert len(done[index].detail) + len(done[index].traceback) + len(done[index].output) < 1 << 18
        assert done[20].body == b'"done"'
        assert (done[21].cause, done[21].detail) == ("too_large", "the headers are longer than 262144 bytes")
        assert done[22].body == b"22"


def test_a_shard_for_which_there_are_not_enough_threads_fails_in_part_and_says_so(tmp_path: Path) -> None:
    code = f"""{_SHOP}
start = threading.Thread.start
def limited(thread):
    if thread.name.startswith("job no_thread"):
        raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = limited
"""
    with runner(tmp_path, code) as process:
        for others in (3, 0):
            assert not process.is_spent
            none = replace(a_call("shop:well", 0), occurrence="no_thread@2026-11-20T11:30:00Z")
            done = process.run(none, *(a_call("shop:well", n, index=n) for n in range(1, 1 + others)))
            assert (done[0].cause, done[0].detail, done[0].started_ns) == (
                "resource",
                "no thread could be started for it",
                0,
            )
            assert [done[n].body for n in range(1, 1 + others)] == [
                str(n).encode() for n in range(1, 1 + others)
            ]
            assert process.ended
            assert process.ended.released
        assert process.is_spent, "in a runner that has no thread for any job, none may ever run again"


def test_the_start_table_names_an_import_that_outlasts_arming_until_it_has_ended(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import shop\nshop.there.wait()\ndef well():\n    return 1\n")
    with runner(tmp_path, _SHOP) as process:
        number = process.arm_all([a_call("slow:well"), a_call("shop:lets_go", index=1)], armed=1)
        assert (process.is_loading(0), process.is_loading(1)) == (True, False)
        process.send(Release(shard=number, withdrawn=[]))
        assert {one.cause for one in process.results().values()} == {None}
        assert not process.is_loading(0)


def test_contexts_that_hang_delay_no_neighbour_though_no_thread_can_be_started(
    tmp_path: Path,
) -> None:
    code = f"""{_SHOP}
start, refused = threading.Thread.start, []
def limited(thread):
    if thread.name.startswith("instead of") and len(refused) < 3:
        refused.append(thread)
        raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = limited
"""
    with runner(tmp_path, code) as process:
        hangs = replace(a_call("shop:well", 0, latest_ns=0), request=a_view(path="/hangs").request)
        number = process.arm([hangs, a_call("shop:well", 1, index=1)], lead_ns=2 * SECOND)
        assert process.wait_until_armed().armed == 1
        process.send(Release(shard=number, withdrawn=[]))
        done = process.results()
        assert (done[0].late, done[1].armed, done[1].body) == (True, True, b"1")


def test_a_job_that_replaces_the_clock_of_its_process_keeps_no_other_from_its_start(tmp_path: Path) -> None:
    code = f"""{_SHOP}
import time
def replaces():
    time.time_ns = lambda: 1 << 62
    time.sleep = lambda _seconds: None
"""
    with runner(tmp_path, code) as process:
        assert process.run(a_call("shop:replaces"))[0].cause is None
        done = process.run(a_call("shop:well", 1), a_call("shop:well", 2, index=1))
        assert [(done[n].body, done[n].started_ns >= process.release_at_ns) for n in range(2)] == [
            (b"1", True),
            (b"2", True),
        ]


def test_a_runner_in_which_commands_break_leaves_what_comes_to_a_fresh_one(tmp_path: Path) -> None:
    code = f"{_SHOP}\ndef replaces():\n    threading.Event = None\n"
    with runner(tmp_path, code) as process:
        assert process.run(a_call("shop:replaces"))[0].cause is None
        assert not process.is_spent
        process.arm([a_call("shop:well", 1)])
        assert process.results()[0].detail == "an error in tminus ended it: TypeError"
        assert process.is_spent


@pytest.mark.parametrize(("first", "is_replaced"), [("breaks", True), ("well", False)])
def test_a_runner_that_can_prepare_no_job_any_more_is_replaced_if_it_ever_could(
    tmp_path: Path, first: str, is_replaced: bool
) -> None:
    code = f"""{_SHOP}
broken = [] if {is_replaced} else [True]
class Sessions(type(app.session_interface)):
    def open_session(self, app, request):
        if broken:
            raise OSError("no connection is left")
        return super().open_session(app, request)
app.session_interface = Sessions()
def breaks(_n):
    broken.append(True)
"""
    with runner(tmp_path, code) as process:
        process.run(a_call(f"shop:{first}", 0))
        for _ in range(3):
            assert not process.is_spent
            assert process.run(a_call("shop:well", 1))[0].detail == "OSError: no connection is left"
        assert process.is_spent is is_replaced


def test_an_error_in_the_look_at_a_job_ends_no_timeout_of_another_job(tmp_path: Path) -> None:
    code = f"""{_SHOP}
from tminus.executors.python.job_run import JobRun
ends_at_ns, told, gave_up = JobRun.ends_at_ns.fget, threading.Event(), threading.Event()
def breaks(job):
    if job.work.index == 0:
        raise MemoryError
    return ends_at_ns(job)
JobRun.ends_at_ns = property(breaks)
def waits():
    is_told = told.wait(20)
    gave_up.set()
    return is_told
def until_told():
    while not current_occurrence().should_stop and not gave_up.wait(0.01):
        pass
    told.set()
"""
    with runner(tmp_path, code) as process:
        done = process.run(a_call("shop:waits"), a_call("shop:until_told", index=1, total_ns=SECOND // 10))
        assert (done[0].body, done[1].cause) == (b"true", "timeout")
        assert process.is_spent


def test_a_runner_with_a_thread_that_does_not_stop_still_writes_its_last_report(
    tmp_path: Path,
) -> None:
    code = f"""{_SHOP}
def stays():
    there.wait()
def says_much(when):
    with open(when) as told:
        told.read()
    return "x" * (1 << 17)
"""
    os.mkfifo(tmp_path / "when")
    with runner(tmp_path, code) as process:
        assert process.run(a_call("shop:stays", total_ns=SECOND // 10))[0].cause == "timeout"
        number = process.arm([a_call("shop:says_much", str(tmp_path / "when"))])
        process.wait_until_armed()
        process.send(Release(shard=number, withdrawn=[]))
        process.wait_until_spent()
        (tmp_path / "when").write_text("now")
        with suppress(subprocess.TimeoutExpired):
            process.process.wait(1)  # it does not, as long as its report does not fit into the pipe
        assert len(process.results()[0].body) == 1 << 16
        assert stopped(process.process) == 0
