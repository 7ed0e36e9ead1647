"""The signals of a daemon that is being killed already."""

import signal
import subprocess
import sys
import threading

import pytest

from tests.support.moments import PATIENCE_S

_KILLS = """
import os, sys, threading
from tminus.clock import SystemClock
from tminus.daemon.foreground import Foreground

lock = threading.Lock()

def say(text):
    os.write(1, text.encode())  # in a handler of signals, print() may be within another print()

def kill():
    with lock:
        say("killing\\n")
        sys.stdin.readline()

def serve():
    say("ready\\n")
    threading.Event().wait()

never = lambda: None
Foreground(SystemClock(), stop=lambda: say("stopping\\n"), reload=never, has_begun=lambda: True, grace_ns=lambda: 60 << 30,
           kill=kill).run(serve)
"""


@pytest.mark.processes
def test_a_further_signal_while_all_are_killed_does_not_keep_the_daemon_from_ending() -> None:
    command = [sys.executable, "-c", _KILLS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdin
        try:
            for said in ("ready", "stopping", "killing"):
                assert process.stdout.readline().strip() == said
                process.send_signal(signal.SIGTERM)
            process.stdin.write("go on\ngo on\n")
            process.stdin.flush()
            assert process.wait(PATIENCE_S) == -signal.SIGTERM
        finally:
            process.kill()


@pytest.mark.processes
def test_a_signal_that_was_blocked_when_the_daemon_was_started_is_heard() -> None:
    command = [sys.executable, "-c", _KILLS]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    deaf = threading.Timer(PATIENCE_S, process.kill)
    deaf.start()
    with process:
        try:
            assert process.stdout
            assert process.stdout.readline().strip() == "ready"
            process.send_signal(signal.SIGTERM)
            assert process.stdout.readline().strip() == "stopping"
        finally:
            deaf.cancel()
            deaf.join()
            process.kill()
