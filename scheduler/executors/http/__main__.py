"""The process of the HTTP executor: commands on stdin, reports on stdout, lanes in between. Ends when stdin does."""

import gc
import os
import queue
import signal
import sys
import threading

from scheduler.clock import SystemClock
from scheduler.executors.http import wire
from scheduler.executors.http.executor import Executor
from scheduler.release import priority


def main() -> None:
    """Serve until the daemon closes the pipe; then end at once, for there is nobody left to report to."""
    # The daemon decides when this ends: a ^C in its terminal, or systemd's TERM to the group, is for the daemon.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    reports: queue.SimpleQueue[wire.Report] = queue.SimpleQueue()
    threading.Thread(target=_write, args=(reports,), name="reports", daemon=True).start()
    executor = Executor(clock=SystemClock(), report=reports.put)
    gc.freeze()
    gc.disable()  # the reaper collects, away from any release
    reports.put(wire.Hello(version=wire.VERSION, pid=os.getpid(), realtime=priority.is_allowed(priority.HOLDING)))
    for command in wire.read_commands(sys.stdin.buffer):
        executor.obey(command)
    os._exit(0)  # resolver threads may hang for as long as a name server does


def _write(reports: "queue.SimpleQueue[wire.Report]") -> None:
    try:
        while True:
            wire.write(sys.stdout.buffer, reports.get())
    except OSError:
        os._exit(1)  # the daemon is gone


if __name__ == "__main__":
    main()
