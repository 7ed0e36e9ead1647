"""Isolated jobs whose process dies, hangs or cannot be started before T: each costs itself, and says so."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.daemon import eventually, stat_of
from tests.support.runner import a_call, runner
from tminus.executors.protocol import JobResponse, Release

_SHOP = """
import os, resource, signal, subprocess, threading, time
from flask import Flask, url_for
from tminus.flask import Scheduler

app = Flask("shop")
folder = os.path.dirname(__file__)

@app.url_value_preprocessor
def look(endpoint, values):
    if endpoint == "hangs":
        threading.Event().wait()

@app.get("/hangs", endpoint="hangs")
@app.get("/well", endpoint="well")
def page():
    return "well"

def well(n):
    return n

def crashes():
    os.kill(os.getpid(), signal.SIGSEGV)

def asks_and_stops():
    write = os.write
    def write_and_stop(descriptor, data):
        written = write(descriptor, data)
        if b'"request"' in bytes(data):
            os.kill(os.getpid(), signal.SIGSTOP)
        return written
    os.write = write_and_stop
    return Scheduler(app, app="shop").state.get("anything")

def leaves():
    return subprocess.Popen(["sleep", "60"], start_new_session=True).pid

def forks(file):
    pid = os.fork()
    if pid == 0:
        names = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd") if int(name) > 2]
        found = [os.readlink(name) for name in names if os.path.exists(name) or os.path.islink(name)]
        with open(file, "w") as noted:
            noted.write("\\n".join(found))
        os._exit(0)
    os.waitpid(pid, 0)
"""
_EXITS = "import os\nos._exit(3)\n"
_NOT_ENTERED = "its process ended with exit status 3 before its function was entered"


@pytest.mark.parametrize("others", [0, 3])
def test_a_job_whose_process_dies_while_it_is_prepared_has_failed_and_was_not_sent(
    tmp_path: Path, others: int
) -> None:
    (tmp_path / "exits.py").write_text(_EXITS)
    with runner(tmp_path, _SHOP, isolates=True) as process:
        works = [a_call("exits:work"), *(a_call("shop:well", n, index=n) for n in range(1, 1 + others))]
        done = process.run_armed(*works, armed=others)
        assert process.ended
        assert process.ended.released
        assert (done[0].cause, done[0].detail, done[0].started_ns, done[0].unknown) == (
            "exception",
            _NOT_ENTERED,
            0,
            False,
        )
        assert [done[n].body for n in range(1, 1 + others)] == [str(n).encode() for n in range(1, 1 + others)]
        assert all(done[n].armed for n in range(1, 1 + others))


def test_a_shard_whose_processes_have_all_died_can_be_sent_home(tmp_path: Path) -> None:
    (tmp_path / "exits.py").write_text(_EXITS)
    with runner(tmp_path, _SHOP, isolates=True) as process:
        number = process.arm([a_call("exits:work")])
        process.wait_until_armed()
        process.withdraw(number)
        assert process.results() == {}
        assert process.ended
        assert not process.ended.released


def test_a_process_that_hangs_in_its_preparation_delays_no_other_and_ends_in_time(
    tmp_path: Path,
) -> None:
    (tmp_path / "hangs.py").write_text("import threading\nthreading.Event().wait()\n")
    with runner(tmp_path, _SHOP, isolates=True) as process:
        works = [a_call("hangs:work", latest_ns=0), a_call("shop:well", 1, index=1)]
        done = process.run_armed(*works, armed=1)
        assert done[0].late
        assert done[1].body == b"1"


def test_what_exceeds_the_limit_of_open_files_fails_by_name_and_the_others_run(
    tmp_path: Path,
) -> None:
    code = f"{_SHOP}\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))\n"
    with runner(tmp_path, code, isolates=True) as process:
        for _ in range(2):  # nothing is left of the first time
            done = process.run(*(a_call("shop:well", n, index=n) for n in range(40)), lead_ns=4 * 10**9)
            failed = {n for n, one in done.items() if one.cause}
            assert {(done[n].cause, done[n].detail, done[n].started_ns) for n in failed} == {
                ("resource", "no process could be started for it: Too many open files", 0)
            }
            assert 20 <= len(done) - len(failed) < 40
            assert all(done[n].body == str(n).encode() for n in done.keys() - failed)
        assert process.run(a_call("shop:well", 7))[0].body == b"7"


def test_an_application_that_ignores_the_end_of_its_children_hides_no_end_of_a_job(tmp_path: Path) -> None:
    code = f"{_SHOP}\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\ndef ignores(): return int(signal.getsignal(signal.SIGCHLD))\n"
    with runner(tmp_path, code, isolates=True) as process:
        done = process.run(a_call("shop:crashes"), a_call("shop:ignores", index=1))
        assert done[0].detail == "its process was killed by SIGSEGV before it had reported a result"
        assert done[1].body == b"1"


def test_what_a_job_forks_has_nothing_of_ours_open(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP, isolates=True) as process:
        assert process.run(a_call("shop:forks", str(tmp_path / "open")))[0].cause is None
        assert [
            name for name in (tmp_path / "open").read_text().split() if name.startswith(("socket:", "pipe:"))
        ] == []


def test_what_a_job_leaves_behind_may_print_without_end_and_holds_up_nobody(tmp_path: Path) -> None:
    code = f"""{_SHOP}
read = os.read
def is_never_empty(descriptor, length):
    try:
        return read(descriptor, length)
    except BlockingIOError:
        return b"x"
os.read = is_never_empty
"""
    with runner(tmp_path, code, isolates=True) as process:
        pid = int(process.run(a_call("shop:leaves"))[0].body)
        os.kill(pid, signal.SIGKILL)
        assert process.run(a_call("shop:well", 1))[0].body == b"1"


def test_a_process_that_dies_with_an_answer_unread_costs_itself_alone(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP, isolates=True) as process:
        number = process.arm([a_call("shop:asks_and_stops")])
        process.wait_until_armed()
        process.send(Release(shard=number, withdrawn=[]))
        ask = process.wait_until_asked()
        eventually(lambda: stat_of(ask.pid)[0] == "T", what="it has stopped itself")
        process.send(JobResponse(pid=ask.pid, number=ask.number))
        assert process.run(a_call("shop:well", 1))[0].body == b"1"  # so the answer has been passed on
        os.kill(ask.pid, signal.SIGKILL)
        assert (
            process.results()[0].detail == "its process was killed by SIGKILL before it had reported a result"
        )
        assert process.run(a_call("shop:well", 2))[0].body == b"2"
