"""Serve: commands on stdin, reports on stdout, the application's code in between. Ends when stdin does."""

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

from scheduler.clock import Clock, SystemClock
from scheduler.executors.python import loading, output, pipe, wire
from scheduler.executors.python.board import Board
from scheduler.executors.python.executor import Executor
from scheduler.executors.python.forks import ForkServer
from scheduler.executors.python.job_forks import end_with_forks, keep_from_forks, outlive, private_pipes
from scheduler.executors.python.limits import raise_descriptor_limit, restore_descriptor_limit
from scheduler.executors.python.registry import code_jobs
from scheduler.instants import SECOND
from scheduler.outcome import Cause
from scheduler.release import priority

if TYPE_CHECKING:
    from flask import Flask

#: A thread that enters its job waits at most this long for the GIL of one that computes.
_SWITCH_S = 0.0005


def serve(board: Board, app_name: str | None = None) -> None:
    """Import the application once, then serve until the daemon closes the pipe."""
    outlive(signal.SIGINT, signal.SIGTERM)  # the daemon decides when this ends
    commands, reports_to = private_pipes()
    keep_from_forks((commands.fileno(), reports_to.fileno()), board)
    output.capture()
    name = os.environ["TMINUS_APP"]  # before the application is imported, which may do with its environment what it likes
    reports: queue.SimpleQueue[wire.Report | None] = queue.SimpleQueue()
    asking = pipe.current = pipe.Pipe()
    app = imported(app_name, reports_to)
    asking.open(reports.put)
    clock = SystemClock()
    executor = Executor(app, board=board, clock=clock, report=reports.put, spent=lambda: reports.put(None))
    threading.Thread(target=_write, args=(reports, reports_to, executor, clock), name="reports", daemon=True).start()
    sys.setswitchinterval(_SWITCH_S)
    gc.collect()
    gc.freeze()
    may_be_realtime = priority.is_allowed(priority.LANES)  # only where the lanes may have the one above
    reports.put(wire.Hello(version=wire.VERSION, pid=os.getpid(), realtime=may_be_realtime, jobs=code_jobs(app, name)))
    try:
        for command in wire.read_commands(commands):
            if isinstance(command, wire.Answered):
                asking.hear(command)
            else:
                executor.obey(command)
    except Exception:  # noqa: BLE001  what cannot be read may have been a permit: the daemon starts a fresh process
        traceback.print_exc()
        end_with_forks(1)
    end_with_forks(0)  # a job may run for as long as it likes


def serve_forks(board: Board, app_name: str | None = None) -> None:
    """Import the application once, then fork until the daemon closes the pipe."""
    outlive(signal.SIGINT)
    commands, reports_to = private_pipes()
    keep_from_forks((commands.fileno(), reports_to.fileno()))
    # What a child prints goes to a pipe of its own by its descriptors: what a C library prints, too.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    output.log_to(logging.StreamHandler(sys.stderr))
    pipe.current = pipe.Pipe()  # its children open it
    app = imported(app_name, reports_to)
    gc.collect()
    gc.freeze()  # what the children share stays shared
    on_child = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # an application that ignores it leaves nothing to wait for
    descriptors = raise_descriptor_limit()

    def restore() -> None:
        restore_descriptor_limit(descriptors)
        if on_child is not None:
            signal.signal(signal.SIGCHLD, on_child)

    def report(what: wire.Report) -> None:
        try:
            wire.write(reports_to, what)
        except OSError:
            server.end_all()
            os._exit(1)  # the daemon is gone

    server = ForkServer(app, board=board, clock=SystemClock(), report=report, restore=restore)
    report(wire.Hello(version=wire.VERSION, pid=os.getpid()))
    status = 0
    try:
        server.serve(commands)
    except Exception:  # noqa: BLE001  as in `serve`
        traceback.print_exc()
        status = 1
    server.end_all()
    os._exit(status)


def imported(app_name: str | None, reports_to: BinaryIO) -> "Flask | None":
    """Return the application. If it cannot be imported, report that and end the process."""
    try:
        return loading.load_app(app_name) if app_name else None
    except loading.CannotLoad as error:
        sys.stderr.write(error.traceback)
        wire.write(reports_to, wire.Hello(version=wire.VERSION, pid=os.getpid(), error=str(error)))
        os._exit(1)


def _write(reports: "queue.SimpleQueue[wire.Report | None]", to: BinaryIO, executor: Executor, clock: Clock) -> None:
    """Write the reports; end the process at a None."""
    deadline_ns = 0
    try:
        while True:
            # One deadline for all that have piled up: behind them waits what the daemon takes for a sign of life.
            deadline_ns = 0 if reports.empty() else deadline_ns
            if (report := reports.get()) is None:
                os._exit(0)
            deadline_ns = deadline_ns or clock.wall_ns() + SECOND
            if isinstance(report, wire.Results):
                # First all enter, then report: JSON takes the GIL from those that are about to enter.
                executor.gate.wait_open(own=None, deadline_ns=deadline_ns)
            if line := _line(report):
                to.write(line)
                to.flush()
    except OSError:
        end_with_forks(1)  # the daemon is gone
    except BaseException:  # noqa: BLE001  without reports the daemon waits forever
        traceback.print_exc()
        os._exit(1)


def _line(report: wire.Report) -> bytes:
    """Return the line of a report. If one cannot be encoded, its job fails, and not the runner."""
    try:
        return wire.encode(report)
    except Exception:  # noqa: BLE001  whatever a job's values do to JSON
        traceback.print_exc()
    if not isinstance(report, wire.Results):
        return b""
    return wire.encode(replace(report, finished=[_without_contents(one) for one in report.finished]))


def _without_contents(finished: wire.Finished) -> wire.Finished:
    return wire.Finished(
        index=finished.index,
        started_ns=finished.started_ns,
        finished_ns=finished.finished_ns,
        duration_ns=finished.duration_ns,
        armed=finished.armed,
        cause=Cause.EXECUTOR,
        detail="its report cannot be sent",
        unknown=finished.unknown or finished.started_ns > 0,
    )
