"""Check: what the jobs of an application name is looked for, and nothing is called."""

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from scheduler.executors.python import contexts, output, pipe
from scheduler.executors.python.call import checked
from scheduler.executors.python.job_forks import private_pipes
from scheduler.executors.python.loading import CannotLoad, load, load_app
from scheduler.executors.python.registry import code_jobs, other_apps
from scheduler.executors.python.wire import RequestContext

if TYPE_CHECKING:
    from flask import Flask


def check(app_name: str | None = None) -> None:
    """
    Read what is asked from stdin, and write what is wrong to stdout; both are one JSON document.

    Asked: a list of `{"ref", "args", "kwargs"}` and of `{"endpoint", "args"}`. Answered:
    `{"app": TEXT, "traceback": TEXT, "jobs": [TEXT …], "code": […]}`, an empty text where nothing is wrong; `code` has the jobs
    that the application's code defines, `others` the names of other applications for which it does.
    """
    asked, answer_to = private_pipes()
    name = os.environ["TMINUS_APP"]
    output.capture()
    pipe.current = pipe.Pipe()  # nothing is handed over or shared
    questions = json.load(asked)
    answer: dict[str, Any] = {"app": "", "traceback": "", "jobs": [""] * len(questions), "code": [], "others": []}
    try:
        app = load_app(app_name) if app_name else None
    except CannotLoad as error:
        answer |= {"app": str(error), "traceback": error.traceback}
    else:
        answer |= {"jobs": [_wrong(question, app) for question in questions], "code": code_jobs(app, name)}
        answer["others"] = other_apps(name)
    answer_to.write(json.dumps(answer).encode())
    answer_to.close()
    sys.stdout.flush()


def _wrong(question: dict[str, Any], app: "Flask | None") -> str:
    try:
        if "ref" in question:
            checked(load(question["ref"]), question["ref"], question["args"], question["kwargs"])
        elif "endpoint" in question and app is not None:
            contexts.url_of(app, RequestContext(endpoint=question["endpoint"], args=question["args"]))
    except CannotLoad as error:
        return str(error)
    return ""
