"""The loop of a runner: commands on stdin, reports on stdout. It ends when stdin does."""

import gc
import logging
import os
import queue
import signal
import sys
import threading
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from tminus.clock import Clock, SystemClock
from tminus.executors.protocol import VERSION, AttemptResults, Hello, JobResponse, Returned, RunnerReport
from tminus.executors.python import daemon_client, loading, output, wire
from tminus.executors.python.executor import Executor
from tminus.executors.python.fork_server import ForkServer
from tminus.executors.python.job_forks import end_with_forks, keep_from_forks, outlive, private_pipes
from tminus.executors.python.limits import raise_descriptor_limit, restore_descriptor_limit
from tminus.executors.python.registry import code_jobs
from tminus.executors.python.runner_services import RunnerServices
from tminus.executors.python.start_table import StartTable
from tminus.instants import SECOND
from tminus.release import priority

if TYPE_CHECKING:
    from flask import Flask

#: The longest time for which a thread that enters its job waits for the GIL of one that computes.
_SWITCH_S = 0.0005
_UNSENDABLE = "its report cannot be sent"


def serve(start_table: StartTable, app_name: str | None = None) -> None:
    """Import the application once, then serve until the daemon closes the pipe."""
    outlive(signal.SIGINT, signal.SIGTERM)  # the daemon decides when this ends
    commands, reports_to = private_pipes()
    keep_from_forks((commands.fileno(), reports_to.fileno()), start_table)
    output.capture()
    name = os.environ["TMINUS_APP"]  # before the import of the application, which may change its environment
    reports: queue.SimpleQueue[RunnerReport | None] = queue.SimpleQueue()
    client = daemon_client.current = daemon_client.DaemonClient()
    app = imported(app_name, reports_to)
    client.open(reports.put)
    clock = SystemClock()
    services = RunnerServices(app=app, start_table=start_table, clock=clock)
    executor = Executor(services, report=reports.put, spent=lambda: reports.put(None))
    threading.Thread(
        target=_write, args=(reports, reports_to, executor, clock), name="reports", daemon=True
    ).start()
    sys.setswitchinterval(_SWITCH_S)
    gc.collect()
    gc.freeze()
    may_be_realtime = priority.is_allowed(priority.LANES)  # only if the lanes may have the higher one
    reports.put(Hello(version=VERSION, pid=os.getpid(), realtime=may_be_realtime, jobs=code_jobs(app, name)))
    try:
        for command in wire.read_commands(commands):
            if isinstance(command, JobResponse):
                client.on_response(command)
            else:
                executor.handle_command(command)
    except Exception:  # noqa: BLE001  it may have been a permit, so the daemon starts a new process
        traceback.print_exc()
        end_with_forks(1)
    end_with_forks(0)  # without waiting for jobs


def serve_forks(start_table: StartTable, app_name: str | None = None) -> None:
    """Import the application once, then fork until the daemon closes the pipe."""
    outlive(signal.SIGINT)
    commands, reports_to = private_pipes()
    keep_from_forks((commands.fileno(), reports_to.fileno()))
    # The descriptors 1 and 2 of each child lead to a pipe of its own, also for what a C library prints.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    output.log_to(logging.StreamHandler(sys.stderr))
    daemon_client.current = daemon_client.DaemonClient()  # its children open it
    app = imported(app_name, reports_to)
    gc.collect()
    gc.freeze()  # memory that the children share stays shared
    # If the application ignores this signal, the ends of children cannot be waited for.
    on_child = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    descriptors = raise_descriptor_limit()

    def restore() -> None:
        restore_descriptor_limit(descriptors)
        if on_child is not None:
            signal.signal(signal.SIGCHLD, on_child)

    def report(what: RunnerReport) -> None:
        try:
            wire.write(reports_to, what)
        except OSError:
            server.end_all()
            os._exit(1)  # the daemon is gone

    services = RunnerServices(app=app, start_table=start_table, clock=SystemClock())
    server = ForkServer(services, report=report, restore=restore)
    report(Hello(version=VERSION, pid=os.getpid()))
    status = 0
    try:
        server.serve(commands)
    except Exception:  # noqa: BLE001  as in `serve`
        traceback.print_exc()
        status = 1
    server.end_all()
    os._exit(status)


def imported(app_name: str | None, reports_to: BinaryIO) -> "Flask | None":
    """Return the application. If it cannot be imported, report that, and end the process."""
    try:
        return loading.import_app(app_name)
    except loading.CannotLoad as error:
        sys.stderr.write(error.traceback)
        wire.write(reports_to, Hello(version=VERSION, pid=os.getpid(), error=str(error)))
        os._exit(1)


def _write(
    reports: "queue.SimpleQueue[RunnerReport | None]", to: BinaryIO, executor: Executor, clock: Clock
) -> None:
    """Write the reports; end the process at a None."""
    deadline_ns = 0
    try:
        while True:
            # One deadline for all waiting reports, because the daemon waits for a sign of life behind them.
            deadline_ns = 0 if reports.empty() else deadline_ns
            if (report := reports.get()) is None:
                os._exit(0)
            deadline_ns = deadline_ns or clock.wall_ns() + SECOND
            if isinstance(report, AttemptResults | Returned):
                # Not before all jobs are entered, because JSON takes the GIL from them.
                executor.gate.wait_open(own=None, deadline_ns=deadline_ns)
            if line := _line(report):
                to.write(line)
                to.flush()
    except OSError:
        end_with_forks(1)  # the daemon is gone
    except BaseException:  # noqa: BLE001  without reports the daemon waits forever
        traceback.print_exc()
        os._exit(1)


def _line(report: RunnerReport) -> bytes:
    """Return the line of a report. If a result cannot be encoded, its job fails, and not the runner."""
    try:
        return wire.encode(report)
    except Exception:  # noqa: BLE001  a job's values may raise anything
        traceback.print_exc()
    if isinstance(report, Returned):
        return wire.encode(replace(report, result=report.result.unreportable(_UNSENDABLE)))
    if isinstance(report, AttemptResults):
        finished = [one.unreportable(_UNSENDABLE) for one in report.finished]
        return wire.encode(replace(report, finished=finished))
    return b""
