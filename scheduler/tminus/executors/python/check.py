"""The check of an application: looks for what its jobs name, and calls nothing."""

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from tminus.executors.python import contexts, daemon_client, output, texts
from tminus.executors.python.job_forks import private_pipes
from tminus.executors.python.loading import CannotLoad, import_app, load
from tminus.executors.python.prepared_call import checked
from tminus.executors.python.registry import code_jobs, other_apps
from tminus.executors.python.wire import RequestContext

if TYPE_CHECKING:
    from flask import Flask


def check(app_name: str | None = None) -> None:
    """
    Read questions from stdin, and write the errors to stdout. Each is one JSON document.

    Questions: a list of `{"ref", "args", "kwargs"}` and `{"endpoint", "args"}`. Errors:
    `{"app": TEXT, "traceback": TEXT, "jobs": [TEXT …], "code": […], "others": […]}`. A text is empty if
    nothing is wrong. `code` has the jobs that the application's code defines, `others` the names of other
    applications for which it defines jobs.
    """
    stdin, stdout = private_pipes()
    name = os.environ["TMINUS_APP"]
    output.capture()
    daemon_client.current = daemon_client.DaemonClient()  # nothing can be submitted or shared
    questions = json.load(stdin)
    found: dict[str, Any] = {
        "app": "",
        "traceback": "",
        "jobs": [""] * len(questions),
        "code": [],
        "others": [],
    }
    try:
        app = import_app(app_name)
    except CannotLoad as error:
        found |= {"app": str(error), "traceback": error.traceback}
    else:
        found |= {"jobs": [_error_of(question, app) for question in questions], "code": code_jobs(app, name)}
        found["others"] = other_apps(name)
    stdout.write(json.dumps(found).encode())
    stdout.close()
    sys.stdout.flush()


def _error_of(question: dict[str, Any], app: "Flask | None") -> str:
    try:
        if "ref" in question:
            checked(load(question["ref"]), question["ref"], question["args"], question["kwargs"])
        elif "endpoint" in question and app is not None:
            contexts.build_url(app, RequestContext(endpoint=question["endpoint"], args=question["args"]))
    except CannotLoad as error:
        return str(error)
    except BaseException as error:  # noqa: BLE001  code of the application: the other questions are checked all the same
        return f"it cannot be checked: {texts.describe_error(error)}"
    return ""
