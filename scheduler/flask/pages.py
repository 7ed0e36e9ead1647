"""What a page asks about work that was handed over: `GET /scheduler/runs/<id>`, and the script that asks it."""

import json
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify, make_response, render_template, request, url_for

from scheduler.flask import events as event_stream
from scheduler.flask import handover
from scheduler.flask.shape import as_dict, as_text, tag

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as AnyResponse

    from scheduler.model.background import Standing

#: Seconds until it is worth to ask again.
_AGAIN_S = 1


def blueprint(authorize: Callable[[str], bool] | None, *, events: bool) -> Blueprint:
    """
    The routes, under `/scheduler`.

    Args:
        authorize: Whether the current request may see the run with this id; None: who knows the id may.
        events: Whether there is an event stream of each run.
    """
    pages = Blueprint("scheduler", __name__, url_prefix="/scheduler", template_folder="templates")

    def seen(id: str) -> "Standing | None":
        # PostgreSQL knows no text with NUL in it, and would raise.
        return handover.standing(id) if id.isalnum() and (authorize is None or authorize(id)) else None

    @pages.get("/runs/<id>")
    def run(id: str) -> "AnyResponse":
        standing = seen(id)
        if standing is None:
            return _not_found()
        best = request.accept_mimetypes.best_match(["application/json", "text/html"])
        response = _page(standing) if best == "text/html" else Response(as_text(standing), mimetype="application/json")
        return _asked_again(response, is_over=standing.outcome is not None)

    if events:

        @pages.get("/runs/<id>/events")
        def run_events(id: str) -> Response:
            standing = seen(id)
            return _not_found() if standing is None else event_stream.response(standing)

    @pages.get("/script.js")
    def script() -> Response:
        text = (files("scheduler.flask") / "script.js").read_bytes()
        response = Response(text, mimetype="text/javascript")
        response.headers["Cache-Control"] = "max-age=3600"
        return response

    return pages


def _page(standing: "Standing") -> Response:
    """For who has no JavaScript, or follows the link: it refreshes itself."""
    run, is_over = as_dict(standing), standing.outcome is not None
    result = run["result"] if isinstance(run["result"], str) else json.dumps(run["result"], indent=2, ensure_ascii=False)
    here = url_for("scheduler.run", id=standing.id)
    page = render_template("tminus_run.html", run=run, result=result, here=here, is_over=is_over, again_s=_AGAIN_S)
    return make_response(page)


def _asked_again(response: Response, *, is_over: bool) -> "AnyResponse":
    response.set_etag(tag(response.get_data(as_text=True)))
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Vary"] = "Accept, Cookie"
    if not is_over:
        response.headers["Retry-After"] = str(_AGAIN_S)
    return response.make_conditional(request)


def _not_found() -> Response:
    response = make_response(jsonify(error={"kind": "not_found", "message": "no such run"}), 404)
    response.headers["Cache-Control"] = "no-store"
    return response
