"""The process of the HTTP executor: commands on stdin, reports on stdout, lanes in between. Ends when stdin does."""

import gc
import os
import queue
import signal
import sys
import threading
import traceback

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
    status = 0
    try:
        for command in wire.read_commands(sys.stdin.buffer):
            executor.obey(command)
    except Exception:  # noqa: BLE001  what cannot be read may have been a permit: the daemon starts a fresh process
        traceback.print_exc()
        status = 1
    os._exit(status)  # resolver threads may hang for as long as a name server does


def _write(reports: "queue.SimpleQueue[wire.Report]") -> None:
    try:
        while True:
            wire.write(sys.stdout.buffer, reports.get())
    except OSError:
        os._exit(1)  # the daemon is gone
    except BaseException:  # noqa: BLE001  without reports the daemon waits until it takes this process for dead
        traceback.print_exc()
        os._exit(1)


if __name__ == "__main__":
    main()
