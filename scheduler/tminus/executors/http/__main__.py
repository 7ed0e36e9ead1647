"""The process of the HTTP executor: commands on stdin, reports on stdout. It ends when stdin does."""

import gc
import os
import queue
import signal
import sys
import threading
import traceback

from tminus.clock import SystemClock
from tminus.executors.http import wire
from tminus.executors.http.executor import Executor
from tminus.executors.protocol import VERSION, Hello, HttpReport
from tminus.release import priority


def main() -> None:
    """Serve until the daemon closes the pipe. Then end at once, because no one is left to report to."""
    # The daemon decides when this ends. A ^C in its terminal, or systemd's TERM to the group, is for the
    # daemon.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    reports: queue.SimpleQueue[HttpReport] = queue.SimpleQueue()
    threading.Thread(target=_write, args=(reports,), name="reports", daemon=True).start()
    executor = Executor(clock=SystemClock(), report=reports.put)
    gc.freeze()
    gc.disable()  # the reaper collects, away from any release
    reports.put(Hello(version=VERSION, pid=os.getpid(), realtime=priority.is_allowed(priority.HOLDING)))
    status = 0
    try:
        for command in wire.read_commands(sys.stdin.buffer):
            executor.handle_command(command)
    except Exception:  # noqa: BLE001  it may have been a permit, so the daemon starts a new process
        traceback.print_exc()
        status = 1
    os._exit(status)  # resolver threads may hang as long as a name server does


def _write(reports: "queue.SimpleQueue[HttpReport]") -> None:
    try:
        while True:
            wire.write(sys.stdout.buffer, reports.get())
    except OSError:
        os._exit(1)  # the daemon is gone
    except BaseException:  # noqa: BLE001  without reports the daemon would wait
        traceback.print_exc()
        os._exit(1)


if __name__ == "__main__":
    main()
