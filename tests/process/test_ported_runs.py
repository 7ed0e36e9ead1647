"""
Background runs as users of Flask-Executor have them. `tests/ported_cases.py` lists the cases, also those that
other tests show.
"""

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from flask import g, request

from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.jobs import shop_file
from tests.support.web_worker import web_worker
from tminus.flask import Failure, background


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, DaemonProcess]]:
    """The application as a web worker has it, and the daemon that runs its functions."""
    folder = tmp_path_factory.mktemp("site")
    with (
        pytest.MonkeyPatch.context() as patch,
        web_worker(folder, "submitted", patch) as module,
        daemon(folder, shop_file()) as process,
    ):
        yield module, process


@pytest.fixture
def shop(site: tuple[Any, DaemonProcess], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The application of all tests. Each test has its own names for notes and files."""
    module, process = site
    monkeypatch.setenv("TMINUS_LEDGER", process.ledger)
    return module


def notes(shop: Any) -> list[str]:
    """Return what the functions have noted."""
    file: Path = shop.folder / "notes"
    return file.read_text().splitlines() if file.exists() else []


def noted(shop: Any, beginning: str) -> str:
    """Wait for the only note that begins like this; return its rest."""
    (line,) = eventually(lambda: [one for one in notes(shop) if one.startswith(beginning)], what=beginning)
    return str(line.removeprefix(beginning))


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        pytest.param([], {}, id="none"),
        pytest.param([1, "two", None], {}, id="positional"),
        pytest.param([], {"last": 3, "more": True}, id="keywords"),
        pytest.param([[1]], {"last": {"a": "ä"}}, id="both"),
    ],
)
def test_a_submitted_call_returns_what_a_direct_call_returns(
    shop: Any, args: list[Any], kwargs: dict[str, Any]
) -> None:
    direct = shop.echo(*args, **kwargs)
    assert shop.echo.submit(*args, **kwargs).wait() == [list(direct[0]), *direct[1:]]


def test_a_background_function_calls_itself_directly_within_its_run(shop: Any) -> None:
    assert shop.fibonacci.submit(10).wait() == shop.fibonacci(10) == 55


def test_a_function_of_another_module_is_submitted_if_the_code_declares_it(shop: Any) -> None:
    assert shop.choose.submit(5, 2).wait() == 10


def test_a_function_that_only_a_web_worker_declares_is_never_called(shop: Any) -> None:
    with pytest.raises(Failure) as raised:
        background(shop.undecorated).submit().wait()
    assert (raised.value.outcome, raised.value.kind) == ("failed", "definition")
    assert "shop:undecorated is not a @background function" in str(raised.value)
    assert "undecorated was called" not in notes(shop)


class Basket:
    def add(self) -> None: ...


def _inner() -> Callable[[], None]:
    def inner() -> None: ...

    return inner


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda: None, id="lambda"),
        pytest.param(_inner(), id="inner"),
        pytest.param(Basket.add, id="method"),
        pytest.param(Basket().add, id="bound-method"),
    ],
)
def test_a_function_without_a_name_in_a_module_is_refused_at_once(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="must be defined at the top level of a module"):
        background(function)


def test_arguments_and_results_come_as_json_has_them(shop: Any) -> None:
    assert shop.echo.submit((1, 2), last={1: None}).wait() == [[[1, 2]], {"1": None}, {}]
    with pytest.raises(TypeError, match=r"the arguments are not JSON: .* date is not JSON serializable"):
        shop.echo.submit(date(2026, 11, 20))


def test_a_value_set_in_the_web_workers_configuration_is_not_in_the_runners(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(shop.app.config, "GREETING", "changed")
    with shop.app.app_context():
        assert shop.look_around.submit("shoes").wait()[2] == "hello"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        pytest.param("g", "AttributeError: tenant", id="g"),
        pytest.param("request", "AttributeError: 'Request' object has no attribute 'tenant'", id="request"),
    ],
)
def test_attributes_of_g_and_of_the_request_are_not_copied(shop: Any, place: str, message: str) -> None:
    with shop.app.test_request_context("/"):
        g.tenant = request.tenant = "acme"  # type: ignore[attr-defined]
        run = shop.read.submit(place)
    with pytest.raises(Failure, match=message):
        run.wait()


def test_each_call_of_map_has_a_copy_of_the_request_and_a_g_of_its_own(shop: Any) -> None:
    with shop.app.test_request_context("/?q=shoes"):
        g.name = "the view"
        runs = shop.look_around.map(["ada", "bob", "eve"], [1, 2, 3])
    assert [run.wait() for run in runs] == [
        ["ada", 1, "hello", "shoes", None],
        ["bob", 2, "hello", "shoes", None],
        ["eve", 3, "hello", "shoes", None],
    ]


def test_the_application_tears_the_context_of_each_run_down(shop: Any) -> None:
    shop.leave.submit("first").wait()
    with pytest.raises(Failure, match="ValueError: no"):
        shop.leave.submit("second", fails=True).wait()
    assert noted(shop, "first torn down: ") == "None"
    assert noted(shop, "second torn down: ") == "ValueError('no')"


def test_a_handle_tells_whether_its_run_is_queued_running_or_has_ended(shop: Any) -> None:
    later, now = shop.wait_for.submit("later", delay="1h"), shop.wait_for.submit("now")
    status = eventually(lambda: found if (found := now.status()).state == "running" else None)
    assert (status.outcome, status.reason, status.result, status.attempts) == (None, None, None, 1)
    assert later.status().state == "queued"
    (shop.folder / "now").touch()
    assert now.wait() == "now"
    status = now.status()
    assert (status.state, status.outcome, status.reason) == ("finished", "succeeded", None)
    assert (status.result, status.attempts) == ("now", 1)
    assert later.cancel()
    assert (later.status().state, later.status().outcome) == ("finished", "cancelled")


def test_runs_end_in_any_order_and_each_is_waited_for_alone(shop: Any) -> None:
    first, second = shop.wait_for.map(["eggs", "milk"])
    (shop.folder / "milk").touch()
    assert second.wait() == "milk"
    assert first.status().outcome is None
    with pytest.raises(TimeoutError, match=r"shop\.wait_for@.* has not ended within 10ms"):
        first.wait("10ms")
    (shop.folder / "eggs").touch()
    assert first.wait() == "eggs"


def test_the_result_of_a_run_stays_for_everybody_who_knows_its_id(shop: Any) -> None:
    shop.fibonacci.submit(7, id="fibonacci.7")
    assert [shop.scheduler.run("fibonacci.7").wait() for _ in range(3)] == [13] * 3


def test_a_callback_gets_the_result_and_can_submit_a_call(shop: Any) -> None:
    assert shop.start.submit(6).wait() == 6
    assert shop.scheduler.run(noted(shop, "6 led to ")).wait() == 8


def test_one_decorator_gives_all_functions_the_same_callback(shop: Any) -> None:
    assert shop.pack.submit("order 1").wait() == "order 1 is packed"
    with pytest.raises(Failure, match="LookupError: order 2 has no address"):
        shop.send.submit("order 2").wait()
    assert noted(shop, "reported: order 1") == " is packed"
    assert noted(shop, "reported: LookupError: order 2") == " has no address"


def test_a_run_cancelled_before_its_start_has_no_result_and_calls_no_callback(shop: Any) -> None:
    run = shop.pack.submit("order 3", delay="1h")
    assert (run.cancel(), run.cancel()) == (True, False)
    with pytest.raises(Failure) as raised:
        run.wait()
    assert raised.value.outcome == "cancelled"
    shop.pack.submit("order 4").wait()
    noted(shop, "reported: order 4")  # so what would follow the other one has had its time
    assert not [line for line in notes(shop) if "order 3" in line]
