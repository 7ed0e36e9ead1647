"""What jobs start and fork takes signals as it would without us, though their runner outlives them."""

import json
import signal
from pathlib import Path

import pytest

from tests.support.runner import a_call, runner

_SHOP = """
import multiprocessing, os, signal, subprocess, threading
from flask import Flask

app = Flask("shop")

def starts(number):
    started = subprocess.Popen(["sleep", "1000"])
    started.send_signal(number)
    return started.wait()

def waits(pipe):
    pipe.send("there")
    signal.pause()

def forks(number):
    here, there = multiprocessing.Pipe()
    forked = multiprocessing.Process(target=waits, args=(there,))
    forked.start()
    here.recv()
    os.kill(forked.pid, number)
    forked.join()
    return forked.exitcode

def pools():
    with multiprocessing.Pool(2) as pool:
        return pool.map(abs, [-1, -2])

def stays():
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    return "here"
"""


@pytest.mark.parametrize("isolates", [False, True], ids=["threads", "processes"])
def test_a_job_ends_by_a_signal_what_it_has_started(tmp_path: Path, isolates: bool) -> None:
    with runner(tmp_path, _SHOP, isolates=isolates) as process:
        assert process.run(a_call("shop:starts", signal.SIGTERM))[0].body == str(-signal.SIGTERM).encode()


def test_a_job_ends_by_a_signal_what_it_has_forked(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP) as process:
        assert process.run(a_call("shop:forks", signal.SIGTERM))[0].body == str(-signal.SIGTERM).encode()
        assert json.loads(process.run(a_call("shop:pools"))[0].body) == [1, 2]


def test_a_runner_outlives_a_signal_to_stop(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP) as process:
        assert process.run(a_call("shop:stays"))[0].body == b'"here"'
        assert process.run(a_call("shop:stays"))[0].body == b'"here"'
