"""Which jobs of the code belong to an application, and what they call."""

import dataclasses
import functools
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tminus.executors.python import registry
from tminus.flask import Scheduler


@pytest.fixture(autouse=True)
def nothing_defined_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other test's jobs."""
    monkeypatch.setattr(registry, "_registries", [])


NAME: Any = "shop"
FLASK_APP: Any = Flask(NAME)


def sync() -> None:
    """A function of a module."""


def report() -> str:
    """A view."""
    return ""


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator as people write them."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def a_module(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> Any:
    """Import that code."""
    (folder / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return __import__(name)


def only_job(app: Flask, app_name: str = "shop") -> dict[str, Any]:
    """The one that belongs to it."""
    (job,) = registry.code_jobs(app, app_name)
    return job


def test_a_function_is_called_by_its_module_and_name_in_the_application() -> None:
    Scheduler(app="shop").job(every="1h", kwargs={"n": 1})(sync)
    job = only_job(Flask("shop"))
    assert job["keys"] == {
        "schedule": {"every": "1h"},
        "call": {"ref": f"{__name__}:sync", "kwargs": {"n": 1}, "app": "shop"},
    }
    assert (job["name"], job["file"], job["line"]) == ("sync", __file__, sync.__code__.co_firstlineno)


@pytest.mark.parametrize("is_view_first", [True, False])
def test_a_view_gets_a_request(is_view_first: bool) -> None:
    app, scheduler = Flask("shop"), Scheduler()

    def report() -> str:
        return ""

    decorators = [app.post("/report"), scheduler.job("nightly", every="1h", request={"json": {"n": 1}})]
    for decorate in decorators if is_view_first else decorators[::-1]:
        decorate(report)
    job = only_job(app)
    assert job["name"] == "nightly"
    assert job["keys"]["flask"] == {"endpoint": "report", "method": "POST", "json": {"n": 1}, "app": "shop"}


@pytest.mark.parametrize(
    ("methods", "wanted"),
    [(["GET", "POST"], "GET"), (["DELETE", "POST"], "POST"), (["PUT", "DELETE"], "DELETE")],
)
def test_a_view_gets_the_request_that_it_takes(methods: list[str], wanted: str) -> None:
    app = Flask("shop")
    app.add_url_rule("/x", view_func=Scheduler().job(every="1h")(report), methods=methods)
    assert only_job(app)["keys"]["flask"]["method"] == wanted


def test_decorators_around_the_job_run_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "from tminus.flask import Scheduler\nfrom tests.unit.executors.test_registry import logged\n"
        "@logged\n@Scheduler().job(every='1h')\n@logged\ndef pack(): ...\n"
    )
    a_module("packing", tmp_path, monkeypatch, code)
    job = only_job(Flask("shop"))
    assert (job["keys"]["call"]["ref"], job["error"]) == ("packing:pack", "")


def test_a_function_that_nobody_can_find_is_said_with_its_place() -> None:
    @Scheduler().job(every="1h")
    def inner() -> None: ...

    job = only_job(Flask("shop"))
    where = "test_a_function_that_nobody_can_find_is_said_with_its_place.<locals>.inner"
    assert (
        job["error"] == f"{where} is not a view of the application, and {__name__}:inner does not lead to it"
    )
    assert job["line"] == inner.__code__.co_firstlineno


def test_the_jobs_of_another_application_are_not_this_one_s() -> None:
    Scheduler(app="shop").job(every="1h")(sync)
    assert registry.code_jobs(Flask("x"), "backoffice") == []
    assert registry.other_apps("backoffice") == ["shop"]


def test_a_scheduler_that_was_given_an_application_belongs_to_no_other() -> None:
    given, other = Flask("shop"), Flask("shop")
    Scheduler(given).job(every="1h")(sync)
    assert [len(registry.code_jobs(app, "shop")) for app in (given, other)] == [1, 0]


def test_the_jobs_of_an_application_that_is_gone_belong_to_no_other() -> None:
    given = Flask("given")
    Scheduler(given).job(every="1h")(sync)
    del given
    gc.collect()
    assert registry.code_jobs(Flask("other"), "shop") == []


def test_an_application_has_the_jobs_of_all_its_schedulers() -> None:
    app = Flask("shop")
    Scheduler(app).job("a", every="1h")(sync)
    Scheduler(app="shop").job("b", every="1h")(sync)
    assert [job["name"] for job in registry.code_jobs(app, "shop")] == ["a", "b"]


def test_an_application_without_a_name_under_apps_defines_none() -> None:
    Scheduler().job(every="1h")(sync)
    assert registry.code_jobs(Flask("shop"), "shop:app") == []


def test_of_a_factory_that_is_called_twice_the_second_application_counts() -> None:
    def create_app() -> Flask:
        app, scheduler = Flask("shop"), Scheduler()

        @app.get("/report")
        @scheduler.job(every="1h")
        def report() -> str:
            return ""

        return app

    create_app()
    job = only_job(create_app())
    assert (job["keys"]["flask"]["endpoint"], job["error"]) == ("report", "")


def test_a_module_that_is_imported_twice_defines_its_jobs_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Shared.scheduler = Scheduler()
    code = "from tests.unit.executors.test_registry import Shared\n@Shared.scheduler.job(every='1h')\ndef pack(): ...\n"
    for _ in range(2):
        a_module("packing", tmp_path, monkeypatch, code)
    assert only_job(Flask("shop"))["error"] == ""


class Shared:
    """A scheduler that stands in a module of its own."""

    scheduler: Scheduler


def test_a_function_that_is_two_jobs_of_one_name_is_said_twice() -> None:
    scheduler = Scheduler()
    scheduler.job(every="1h")(scheduler.job(every="2h")(sync))
    assert [job["name"] for job in registry.code_jobs(Flask("shop"), "shop")] == ["sync", "sync"]


def test_the_extension_is_where_flask_has_its_extensions() -> None:
    app = Flask("shop")
    scheduler = Scheduler(app="backoffice")
    scheduler.init_app(app)
    assert app.extensions["tminus"] is scheduler
    assert scheduler.app == "backoffice"


@pytest.mark.parametrize("wrong", [lambda: Scheduler(NAME), lambda: Scheduler(app=FLASK_APP)])
def test_the_application_and_its_name_are_not_taken_for_each_other(wrong: Callable[[], Scheduler]) -> None:
    with pytest.raises(
        TypeError, match=r"write Scheduler\(flask_app\), or Scheduler\(app=NAME\) with its name under apps:"
    ):
        wrong()


class Odd:
    """Whatever is asked of it raises, or is another one."""

    def __init__(self, *, raises: bool) -> None:
        self.raises = raises

    def __call__(self) -> str:
        return ""

    def __getattr__(self, name: str) -> Any:
        if self.raises and name == "__wrapped__":
            raise RuntimeError("not now")
        if name == "__wrapped__":
            return Odd(raises=False)
        raise AttributeError(name)


def test_an_odd_job_and_odd_views_cost_the_others_nothing() -> None:
    app = Flask("shop")
    for number, raises in enumerate([True, False]):
        app.view_functions[f"odd_{number}"] = Odd(raises=raises)
    jobs = Scheduler(app)
    odd: list[Any] = [7, ["a list"]]
    for name in odd:
        jobs.job(name, every="1h")(sync)
    jobs.job("nameless", every="1h")(sync)
    jobs._registry.defined[-1] = dataclasses.replace(
        jobs._registry.defined[-1], function=functools.partial(sync)
    )
    jobs.job("bytes", every="1h")(sync)
    jobs._registry.defined[-1] = dataclasses.replace(
        jobs._registry.defined[-1], keys={"params": {"n": b"bytes"}}
    )
    jobs.job("well", every="1h")(sync)
    found = {job["name"]: job["error"] for job in registry.code_jobs(app, "shop")}
    assert list(found) == ["7", "['a list']", "nameless", "bytes", "well"]
    assert [error.split(":")[0] for error in found.values()] == [*["it cannot be read"] * 4, ""]
