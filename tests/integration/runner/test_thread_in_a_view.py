"""
Where all this came from: work that a view hands to a thread of its own fails once the answer has gone; as a
job it does not.
"""

import json
import sys
import threading
from pathlib import Path

import pytest

from tests.support.runner import a_call, runner

#: The same function twice: started in a thread by a view, and called as a job.
_SHOP = """
import threading
from flask import Flask, current_app, request
from flask_sqlalchemy import SQLAlchemy

app = Flask("shop")
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///:memory:"
db = SQLAlchemy(app)
answered = threading.Event()
raised = []

def write_report():
    answered.wait()
    name = current_app.name
    rows = db.session.execute(db.text("select 1")).scalar()
    return [name, request.path, rows]

def in_a_thread():
    try:
        write_report()
    except RuntimeError as error:
        raised.append(str(error))

@app.post("/reports")
def reports():
    threading.Thread(target=in_a_thread, name="report").start()
    return {"status": "started"}, 202
"""


def test_in_a_thread_of_a_view_it_works_outside_of_every_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_in_a_thread.py").write_text(_SHOP)
    monkeypatch.syspath_prepend(tmp_path)
    import shop_in_a_thread as shop  # type: ignore[import-not-found]

    assert shop.app.test_client().post("/reports").status_code == 202
    shop.answered.set()
    for thread in threading.enumerate():
        if thread.name == "report":
            thread.join()
    (said,) = shop.raised
    assert said.startswith("Working outside of application context.")
    del sys.modules["shop_in_a_thread"]


def test_as_a_job_the_same_function_finds_application_request_and_database(tmp_path: Path) -> None:
    with runner(tmp_path, _SHOP + "\nanswered.set()\n") as process:
        done = process.run(a_call("shop:write_report"))[0]
        assert json.loads(done.body) == ["shop", "/", 1]
