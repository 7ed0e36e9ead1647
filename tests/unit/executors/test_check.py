"""What the check of an application says of each job, whatever the application's code does meanwhile."""

from typing import Any

from flask import Flask

from tminus.executors.python import check


class Odd:
    """A function whose arguments cannot be looked up."""

    @property
    def __signature__(self) -> Any:
        raise SystemExit("not now")

    def __call__(self) -> None: ...


odd = Odd()


def test_code_that_raises_while_it_is_checked_costs_its_own_job_only() -> None:
    app = Flask("shop")
    app.add_url_rule("/page", "page", lambda: "")

    @app.url_defaults
    def breaks(_endpoint: str, _values: dict[str, Any]) -> None:
        raise KeyError("language")

    call = {"ref": f"{__name__}:odd", "args": [], "kwargs": {}}
    said = [check._error_of(question, app) for question in (call, {"endpoint": "page", "args": {}})]
    assert said == [
        "it cannot be checked: SystemExit: not now",
        "it cannot be checked: KeyError: 'language'",
    ]
