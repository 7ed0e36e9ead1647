"""The call verb: a runner calls a function now, without arming it, and reports its end."""

from pathlib import Path

from tests.support.daemon import eventually
from tests.support.runner import a_call, runner
from tminus.executors.protocol import Stop

_SHOP = """
import time
from pathlib import Path
from flask import Flask
from tminus.flask import current_occurrence

app = Flask("shop")

def adds(a, b):
    return a + b

def fails():
    raise ValueError("no")

def counts():
    for step in range(4):
        current_occurrence().progress(step / 4, f"step {step}")
    return "counted"

def goes_on():
    while not current_occurrence().should_stop:
        time.sleep(0.01)
    return "stopped"

def never_ends():
    while True:
        time.sleep(0.01)
"""
_SLOW = """
import time
from pathlib import Path

HERE = Path(__file__).parent
while not (HERE / "go_on").exists():
    time.sleep(0.01)

def enters():
    (HERE / "entered").touch()

def reads():
    return (HERE / "entered").exists()
"""


def test_a_call_returns_what_its_function_returns_and_is_not_armed(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP) as process:
        number = process.call(a_call("shop:adds", 1, 2))
        returned, _ = process.wait_until_returned()
        assert (returned.call, returned.result.body, returned.result.cause) == (number, b"3", None)
        assert process.entered_ns(0) == returned.result.started_ns


def test_a_call_that_fails_says_why(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP) as process:
        process.call(a_call("shop:fails"))
        result = process.wait_until_returned()[0].result
        assert (result.cause, result.detail) == ("exception", "ValueError: no")


def test_the_last_progress_of_a_call_comes_before_its_result(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP) as process:
        number = process.call(a_call("shop:counts"))
        returned, progress = process.wait_until_returned()
        assert returned.result.body == b'"counted"'
        assert (progress[-1].call, progress[-1].fraction, progress[-1].text) == (number, 0.75, "step 3")


def test_a_call_that_is_stopped_ends_in_its_own_way(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP) as process:
        number = process.call(a_call("shop:goes_on"))
        eventually(lambda: process.entered_ns(0), what="it is entered")
        process.send(Stop(call=number))
        assert process.wait_until_returned()[0].result.body == b'"stopped"'


def test_a_call_that_is_stopped_and_goes_on_is_written_off(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP) as process:
        number = process.call(a_call("shop:never_ends"))
        eventually(lambda: process.entered_ns(0), what="it is entered")
        process.send(Stop(call=number))
        result = process.wait_until_returned()[0].result
        assert (result.cancelled, result.still_runs) == (True, True)


def test_a_call_that_is_stopped_before_its_function_was_entered_never_enters_it(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(_SLOW)
    with runner(tmp_path, _SHOP) as process:
        number = process.call(a_call("slow:enters"))
        eventually(lambda: process.is_loading(0), what="it is imported")
        process.send(Stop(call=number))
        result = process.wait_until_returned()[0].result
        assert (result.late, result.started_ns) == (True, 0)
        (tmp_path / "go_on").touch()
        process.call(a_call("slow:reads"))
        assert process.wait_until_returned()[0].result.body == b"false"


def test_a_call_that_is_too_late_is_not_entered(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP) as process:
        process.call(a_call("shop:adds", 1, 2, latest_ns=1))
        result = process.wait_until_returned()[0].result
        assert (result.late, result.started_ns) == (True, 0)
