"""How runners end, and what becomes of what they had; and how an application may be wrong."""

import queue
import sys
from pathlib import Path

import pytest

from tests.support.daemon import eventually, is_alive
from tests.support.runner import a_call, runner, stopped
from tminus.clock import SystemClock
from tminus.daemon.processes.channels import RunnerChannel, ShardPlan
from tminus.daemon.processes.commands import ExecutorDied
from tminus.daemon.processes.supervisor import Supervisor
from tminus.executors.protocol import Armed, Release, Withdraw
from tminus.executors.python.start_table import StartTable
from tminus.instants import SECOND
from tminus.model.definitions import App

_SHOP = """
import ctypes, os, threading, time
from flask import Flask
from tminus.executors.python.current_occurrence import current_occurrence
app = Flask("shop")

def ping():
    return "pong"

def until_told():
    while not current_occurrence().should_stop:
        time.sleep(0.01)
    return current_occurrence().id

def for_ever():
    threading.Event().wait()

def forks(file):
    pid = os.fork()
    if pid == 0:
        threading.Event().wait()
    says(file, pid)
    threading.Event().wait()

def says(file, text):
    open(file + ".new", "w").write(f"{text}\\n")
    os.replace(file + ".new", file)

def dies():
    os._exit(3)

def crashes():
    ctypes.string_at(0)

def moves():
    os.chdir("/")
    return os.getcwd()

def where():
    return os.getcwd()

def says_its_pid(file):
    open(file, "w").write(f"{os.getpid()}\\n")

def until_there_is(file):
    while not os.path.exists(file):
        time.sleep(0.01)
"""


def test_a_shard_that_is_withdrawn_goes_home_and_nothing_is_entered(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP) as process:
        number = process.arm([a_call("shop:ping")])
        process.wait_until_armed()
        process.withdraw(number)
        assert process.results() == {}
        assert process.ended
        assert not process.ended.released
        assert process.entered_ns(0) == 0


@pytest.mark.parametrize("isolates", [False, True], ids=["threads", "processes"])
@pytest.mark.parametrize("is_released", [False, True], ids=["withdrawn", "released"])
def test_of_a_permit_and_a_withdrawal_the_first_counts(
    tmp_path: Path, isolates: bool, is_released: bool
) -> None:
    with runner(tmp_path, _SHOP, isolates=isolates) as process:
        number = process.arm([a_call("shop:ping")])
        process.wait_until_armed()
        both = [Release(shard=number, withdrawn=[]), Withdraw(shard=number)]
        process.send(*(both if is_released else reversed(both)))
        assert [one.body for one in process.results().values()] == [b'"pong"'] * is_released
        assert process.ended
        assert process.ended.released is is_released


def test_one_that_is_withdrawn_goes_home_and_the_others_start(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP) as process:
        done = process.run(a_call("shop:ping"), a_call("shop:ping", index=1), withdrawn=[0])
        assert list(done) == [1]


@pytest.mark.parametrize("isolates", [False, True], ids=["threads", "processes"])
def test_a_shard_of_which_all_are_withdrawn_ends_too(tmp_path: Path, isolates: bool) -> None:
    with runner(tmp_path, _SHOP, isolates=isolates) as process:
        assert process.run(a_call("shop:ping"), a_call("shop:ping", index=1), withdrawn=[0, 1]) == {}
        assert process.ended
        assert process.entered_ns(0) == process.entered_ns(1) == 0


def test_a_job_whose_time_is_over_is_told_and_written_off(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP) as process:
        done = process.run(a_call("shop:until_told", total_ns=200_000_000), a_call("shop:ping", index=1))
        assert done[0].cause == "timeout"
        assert (
            done[0].detail
            == "not done after 0.2 s (timeout.total); its thread cannot be killed, so its function was asked to stop"
        )
        assert done[1].body == b'"pong"'
        assert process.run(a_call("shop:ping"))[0].body == b'"pong"'


def test_a_runner_with_a_thread_that_does_not_stop_ends_once_nothing_else_runs(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP) as process:
        assert process.run(a_call("shop:for_ever", total_ns=100_000_000))[0].cause == "timeout"
        assert stopped(process.process) == 0


@pytest.mark.parametrize(("function", "status"), [("dies", 3), ("crashes", -11)])
def test_of_a_runner_that_dies_the_start_table_tells_what_had_been_entered(
    tmp_path: Path, function: str, status: int
) -> None:
    with runner(tmp_path, _SHOP) as process:
        process.run(a_call(f"shop:{function}"))
        assert stopped(process.process) == status
        assert process.entered_ns(0) >= process.release_at_ns


def test_a_runner_ends_when_the_daemon_does_and_with_it_what_its_jobs_have_forked(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP) as process:
        process.send(Release(shard=process.arm([a_call("shop:forks", str(tmp_path / "pid"))]), withdrawn=[]))
        forked = int(eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
        assert process.process.stdin
        process.process.stdin.close()
        assert stopped(process.process) is not None
        eventually(lambda: not is_alive(forked), what="the forked process has ended")


def test_a_job_that_changes_the_directory_changes_it_for_itself_alone(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP) as process:
        done = process.run(a_call("shop:moves"), *(a_call("shop:where", index=n) for n in range(1, 20)))
        assert done[0].body == b'"/"'
        assert {done[n].body.decode().strip('"') for n in range(1, 20)} == {str(tmp_path)}


@pytest.mark.parametrize(
    ("app", "code", "error"),
    [
        ("shop:ap", "app = 1", "shop:ap: module 'shop' has no 'ap'; did you mean 'app'?"),
        ("shop:app", "app = 1", "shop:app is an int, not a Flask application"),
        ("shop:app", "import sys\nsys.exit(1)", "shop does not import: SystemExit: 1"),
        (
            "shop:app",
            "e = ValueError('odd')\ne.add_note('why')\nraise e",
            "shop does not import: ValueError: odd",
        ),
        ("shop:app", "1 +", "shop does not import: SyntaxError: invalid syntax"),
        (
            "shop:app",
            "import no_such_module",
            "shop does not import: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        (
            "shop:make()",
            "def make(config):\n  pass",
            "the factory shop:make() wants arguments: missing a required argument: 'config'; it is called without any",
        ),
        (
            "shop:make()",
            "def make():\n  return 1/0",
            "the factory shop:make() raised ZeroDivisionError: division by zero",
        ),
        (
            "shop:make",
            "def make():\n  pass",
            "shop:make is a function, not a Flask application; shop:make() would call it",
        ),
        (
            "shop:app()",
            "from flask import Flask\napp = 1",
            "shop:app is an int: write shop:app without the brackets",
        ),
    ],
)
def test_an_application_that_cannot_be_had_is_said_in_a_sentence(
    tmp_path: Path, app: str, code: str, error: str
) -> None:
    with runner(tmp_path, code, app=app) as process:
        assert process.hello.error == error
        assert stopped(process.process) == 1


def test_a_module_that_hangs_while_it_is_imported_holds_up_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "hangs.py").write_text("import threading\nthreading.Event().wait()\n")
    with runner(tmp_path, _SHOP) as process:
        late = a_call("hangs:anything", latest_ns=0)
        done = process.run_armed(late, *(a_call("shop:ping", index=n) for n in range(1, 10)), armed=9)
        assert done[0].late
        assert {done[n].body for n in range(1, 10)} == {b'"pong"'}
        assert all(done[n].armed for n in range(1, 10))


def test_a_job_that_ended_beside_one_that_runs_takes_nothing_from_those_that_follow(
    tmp_path: Path,
) -> None:
    pid, go = tmp_path / "pid", tmp_path / "go"
    with runner(tmp_path, _SHOP, isolates=True) as process:
        first = process.arm(
            [a_call("shop:says_its_pid", str(pid)), a_call("shop:until_there_is", str(go), index=1)]
        )
        process.wait_until_armed()
        process.send(Release(shard=first, withdrawn=[]))
        eventually(
            lambda: (
                pid.exists()
                and pid.read_text().endswith("\n")
                and not Path(f"/proc/{pid.read_text().strip()}").exists()
            )
        )
        second = process.arm([a_call("shop:ping", index=2)])
        process.send(Release(shard=second, withdrawn=[]))
        assert process.results()[2].body == b'"pong"'
        go.touch()
        assert process.results()[1].cause is None


def test_a_runner_that_cannot_be_understood_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(_SHOP)
    python = tmp_path / "python"
    said = '{"is": "Nobody"}'
    python.write_text(
        f"#!/bin/sh\nif mkdir first 2>/dev/null; then echo '{said}'; exec sleep 60; fi\nexec {sys.executable} \"$@\"\n"
    )
    python.chmod(0o700)
    app = App(name="shop", app="shop:app", directory=str(tmp_path), python=str(python))
    supervisor = Supervisor(
        RunnerChannel(app, folder=str(tmp_path), host="here", start_table=StartTable.make()),
        clock=SystemClock(),
    )
    supervisor.start()
    eventually(supervisor.is_well, what="another one is ready")
    supervisor.stop()


def test_a_runner_that_is_retired_and_dies_with_its_last_job_is_not_started_again(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(_SHOP)
    app = App(name="shop", app="shop:app", directory=str(tmp_path), python=sys.executable)
    channel, clock = (
        RunnerChannel(app, folder=str(tmp_path), host="here", start_table=StartTable.make()),
        SystemClock(),
    )
    supervisor = Supervisor(channel, clock=clock)
    supervisor.start()
    eventually(supervisor.is_well, what="it is ready")
    said: queue.SimpleQueue[object] = queue.SimpleQueue()
    now_ns = clock.wall_ns()
    plan = ShardPlan(planned_at_ns=now_ns, deadline_ns=now_ns + SECOND, give_up_ns=now_ns + 60 * SECOND)
    shard = supervisor.send(
        lambda number, open_orders: channel.arm(number, [a_call("shop:dies")], plan, open_orders),
        lambda _shard, event: said.put(event),
        answer_by_ns=1 << 62,
    )
    supervisor.retire()
    assert isinstance(said.get(timeout=30), Armed)
    supervisor.write(Release(shard=shard.number, withdrawn=[]))
    assert isinstance(said.get(timeout=30), ExecutorDied)
    try:
        eventually(lambda: supervisor.is_over, what="it has ended for good")
    finally:
        supervisor.stop()
