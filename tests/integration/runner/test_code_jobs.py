"""A runner says which jobs the code of its application defines; nobody else does."""

from pathlib import Path

from tests.support.runner import runner

_SHOP = """
from flask import Flask
from tminus.flask import Scheduler, current_occurrence

scheduler = Scheduler(app="shop")

def create_app():
    app = Flask("shop")

    @app.post("/report")
    @scheduler.job("nightly", cron="30 2 * * *", tags=["reports"])
    def report():
        return current_occurrence().id
    return app

app = create_app()

@scheduler.job(every="1h")
def pack():
    return current_occurrence().id
"""


def test_the_runner_says_each_job_in_the_words_of_the_file_with_its_place(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP) as process:
        assert process.hello.jobs == [
            {
                "name": "nightly",
                "file": f"{tmp_path}/shop.py",
                "line": 10,
                "error": "",
                "keys": {
                    "schedule": {"cron": "30 2 * * *"},
                    "tags": ["reports"],
                    "flask": {"endpoint": "report", "method": "POST", "app": "shop"},
                },
            },
            {
                "name": "pack",
                "file": f"{tmp_path}/shop.py",
                "line": 18,
                "error": "",
                "keys": {"schedule": {"every": "1h"}, "call": {"ref": "shop:pack", "app": "shop"}},
            },
        ]


def test_of_a_factory_it_is_the_runner_s_own_application_that_counts(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP, app="shop:create_app()") as process:
        assert [(job["name"], job["error"]) for job in process.hello.jobs] == [("nightly", ""), ("pack", "")]


def test_the_processes_of_isolated_jobs_say_nothing_of_the_code(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP, isolates=True) as process:
        assert (process.hello.error, process.hello.jobs) == ("", [])
