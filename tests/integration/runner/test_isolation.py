"""Jobs that go wrong, each beside others that must not notice: in threads, and in processes of their own."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.daemon import children_of, eventually, is_alive, suspend
from tests.support.runner import a_call, runner, stopped
from tminus.executors.protocol import Release
from tminus.executors.python.started_pipe import LONGEST_NS
from tminus.instants import SECOND

HOUR_NS = 3_600 * SECOND

_SHOP = """
import ctypes, os, signal, sys, threading, time
from flask import Flask, current_app, g

app = Flask("shop")

def well(n):
    print("well", n)
    g.n = n
    return {"n": g.n, "app": current_app.name, "directory": os.getcwd()}

def exits():
    sys.exit(3)

def exits_at_once():
    print("on my way out")
    os._exit(3)

def crashes():
    ctypes.string_at(0)

def recursion():
    return recursion()

def asks_for_memory():
    return len(bytearray(2 << 30))

def prints_a_gigabyte():
    line = "x" * (1 << 20)
    for _ in range(1 << 10):
        print(line)

def closes_stdout():
    os.close(1) if os.getpid() != int(os.environ.get("RUNNER", "0")) else None
    sys.stdout.close()

def moves_and_listens():
    os.chdir("/")
    try:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    except ValueError:
        pass

def loops():
    while True:
        pass

def does_not_listen():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(0.1)

def leaves_a_child():
    pid = os.fork()
    if pid == 0:
        time.sleep(1000)
    return pid

def stays(folder):
    forked = os.fork()  # it has all that its parent has, and outlives it
    if forked:
        for name, pid in {"forked": forked, "pid": os.getpid()}.items():
            with open(f"{folder}/{name}", "w") as noted:
                noted.write(str(pid))
    time.sleep(60)

def raises():
    raise ValueError("no such customer")
"""

#: Function, and what is said of it: in a process; the same in a thread, unless there is a second one.
_BAD: dict[str, tuple[str | None, str]] = {
    "exits": ("exception", "sys.exit(3) ended the job"),
    "exits_at_once": ("exception", "its process ended with exit status 3 before it had reported a result"),
    "crashes": ("exception", "its process was killed by SIGSEGV before it had reported a result"),
    "recursion": ("exception", "RecursionError: maximum recursion depth exceeded"),
    "asks_for_memory": (None, ""),
    "prints_a_gigabyte": (None, ""),
    "closes_stdout": (None, ""),
    "moves_and_listens": (None, ""),
    "raises": ("exception", "ValueError: no such customer"),
}
_NOT_IN_THREADS = ("exits_at_once", "crashes")


@pytest.mark.parametrize(
    "isolates",
    [pytest.param(False, id="threads"), pytest.param(True, id="processes", marks=pytest.mark.long)],
)
def test_whatever_a_job_does_the_others_of_its_shard_do_not_notice(tmp_path: Path, isolates: bool) -> None:
    bad = [name for name in _BAD if isolates or name not in _NOT_IN_THREADS]
    works = [
        a_call(f"shop:{name}", index=index, keep_output=1 << 12, total_ns=600 * 10**9)
        for index, name in enumerate(bad)
    ]
    works += [a_call("shop:well", n, index=n) for n in range(100, 120)]
    with runner(tmp_path, _SHOP, isolates=isolates) as process:
        done = process.run(*works, lead_ns=3 * 10**9)
        for n in range(100, 120):
            assert (done[n].cause, done[n].detail) == (None, "")
            assert done[n].body.decode() == f'{{"n": {n}, "app": "shop", "directory": "{tmp_path}"}}'
            assert done[n].output.decode() == f"well {n}\n"
            assert done[n].started_ns >= process.release_at_ns
        said = {
            name: (done[index].cause, done[index].detail.partition(" in comparison")[0])
            for index, name in enumerate(bad)
        }
        assert said == {name: _BAD[name] for name in bad}
        assert len(done[bad.index("prints_a_gigabyte")].output) < 1 << 13
        assert process.run(a_call("shop:well", 1))[0].cause is None


def test_what_a_process_printed_before_it_died_is_kept(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP, isolates=True) as process:
        assert process.run(a_call("shop:exits_at_once"))[0].output == b"on my way out\n"


@pytest.mark.parametrize(
    ("function", "how"), [("loops", "ended with exit status 0"), ("does_not_listen", "was killed by SIGKILL")]
)
def test_an_isolated_job_whose_time_is_over_is_ended_and_then_killed(
    tmp_path: Path, function: str, how: str
) -> None:
    with runner(tmp_path, _SHOP, isolates=True) as process:
        work = a_call(f"shop:{function}", total_ns=300_000_000, kill_after_ns=300_000_000)
        done = process.run(work, a_call("shop:well", 1, index=1))
        assert (done[0].cause, done[0].detail) == (
            "timeout",
            f"not done after 0.3 s (timeout.total); its process {how}",
        )
        assert done[1].cause is None


def test_what_an_isolated_job_has_started_ends_with_it(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP, isolates=True) as process:
        pid = int(process.run(a_call("shop:leaves_a_child"))[0].body)
        eventually(lambda: not is_alive(pid), what="it has ended")


def test_of_isolated_jobs_too_one_may_be_withdrawn_and_all_may_be_sent_home(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP, isolates=True) as process:
        done = process.run(a_call("shop:well", 1), a_call("shop:well", 2, index=1), withdrawn=[0])
        assert list(done) == [1]
        number = process.arm([a_call("shop:well", 1)])
        process.wait_until_armed()
        process.withdraw(number)
        assert process.results() == {}
        assert process.ended
        assert not process.ended.released


def test_a_fork_server_that_is_killed_is_missed_at_once_and_its_jobs_end_with_it(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP, isolates=True) as process:
        number = process.arm([a_call("shop:stays", str(tmp_path))])
        process.wait_until_armed()
        process.send(Release(shard=number, withdrawn=[]))
        pid = int(
            eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), what="it runs")
        )
        process.process.kill()
        assert process.results() == {}
        assert is_alive(int((tmp_path / "forked").read_text())), "the end came with that of its job"
        eventually(lambda: not is_alive(pid), what="its job has ended")
        os.killpg(pid, signal.SIGKILL)


def test_isolated_jobs_end_with_the_daemon(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP, isolates=True) as process:
        process.run(a_call("shop:well", 1))
        process.arm([a_call("shop:loops")])
        process.wait_until_armed()
        assert process.process.stdin
        process.process.stdin.close()
        assert stopped(process.process) == 0


def test_a_job_gets_its_permit_by_a_descriptor_beyond_1023(tmp_path: Path) -> None:
    code = f"""{_SHOP}
import resource
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
"""
    with runner(tmp_path, code, isolates=True) as process:
        done = process.run_armed(a_call("shop:well", 1), a_call("shop:well", 2, index=1))
        assert [(done[n].cause, done[n].armed) for n in range(2)] == [(None, True)] * 2


@pytest.mark.parametrize("isolates", [False, True])
def test_jobs_whose_t_is_far_away_when_the_permit_comes_stand_down(tmp_path: Path, *, isolates: bool) -> None:
    """As after the wall clock was set back."""
    with runner(tmp_path, _SHOP, isolates=isolates) as process:
        number = process.arm([a_call("shop:well", 1), a_call("shop:well", 2, index=1)], lead_ns=HOUR_NS)
        process.wait_until_armed()
        process.send(Release(shard=number, withdrawn=[0]))
        assert process.results() == {}
        assert process.ended
        assert not process.ended.released


def test_none_takes_the_core_for_its_end_before_all_have_started(tmp_path: Path) -> None:
    works = [a_call("shop:well", n, index=n) for n in range(30)]
    with runner(tmp_path, _SHOP, isolates=True) as process:
        done = process.run_armed(*works).values()
    first_ns, last_ns = min(one.started_ns for one in done), max(one.started_ns for one in done)
    assert min(one.finished_ns for one in done) >= min(last_ns, first_ns + LONGEST_NS)


def test_one_that_is_stopped_before_t_keeps_none_of_its_shard_from_ending(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP, isolates=True) as process:
        number = process.arm_all([a_call("shop:well", n, index=n) for n in range(2)])
        well, stopped_one = sorted(children_of(process.process.pid, b""))
        suspend(stopped_one)
        process.release(number)
        eventually(lambda: not is_alive(well), what="the other one has ended")
        os.kill(stopped_one, signal.SIGKILL)
        assert process.results()[0].cause is None
