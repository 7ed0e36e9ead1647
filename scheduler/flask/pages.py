"""What a page asks about work that was handed over: `GET /scheduler/runs/<id>`, and the script that asks it."""

import hashlib
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, make_response, render_template, request, url_for

from scheduler.flask import handover
from scheduler.outcome import Outcome, State

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as AnyResponse

    from scheduler.model.background import Standing

#: Seconds until it is worth to ask again.
_AGAIN_S = 1
_WORDS = {Outcome.SUCCEEDED: "completed", Outcome.CANCELLED: "cancelled", Outcome.SKIPPED: "cancelled"}


def blueprint(authorize: Callable[[str], bool] | None) -> Blueprint:
    """
    The routes, under `/scheduler`.

    Args:
        authorize: Whether the current request may see the run with this id; None: who knows the id may.
    """
    pages = Blueprint("scheduler", __name__, url_prefix="/scheduler", template_folder="templates")

    @pages.get("/runs/<id>")
    def run(id: str) -> "AnyResponse":
        standing = handover.standing(id) if authorize is None or authorize(id) else None
        if standing is None:
            return _not_found()
        said = as_json(standing)
        best = request.accept_mimetypes.best_match(["application/json", "text/html"])
        response = _page(said) if best == "text/html" else make_response(jsonify(said))
        return _asked_again(response, is_over=standing.outcome is not None)

    @pages.get("/script.js")
    def script() -> Response:
        text = (files("scheduler.flask") / "script.js").read_bytes()
        response = Response(text, mimetype="text/javascript")
        response.headers["Cache-Control"] = "max-age=3600"
        return response

    return pages


def as_json(standing: "Standing") -> dict[str, Any]:
    """The shape that the contract fixes."""
    state = _state(standing)
    failed = state == "failed" and standing.outcome is not None
    return {
        "id": standing.id,
        "state": state,
        "progress": standing.progress,
        "progress_text": standing.progress_text,
        "result": standing.result,
        "error": {"kind": str(standing.outcome), "message": standing.reason} if failed else None,
        "attempts": standing.attempts,
    }


def _state(standing: "Standing") -> str:
    if standing.outcome is not None:
        return _WORDS.get(standing.outcome, "failed")
    return "processing" if standing.state is State.RUNNING else "queued"


def _page(said: dict[str, Any]) -> Response:
    """For who has no JavaScript, or follows the link: it refreshes itself."""
    is_over = said["state"] not in ("queued", "processing")
    here = url_for("scheduler.run", id=said["id"])
    return make_response(render_template("tminus_run.html", run=said, here=here, is_over=is_over, again_s=_AGAIN_S))


def _asked_again(response: Response, *, is_over: bool) -> "AnyResponse":
    response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:32])
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Vary"] = "Accept, Cookie"
    if not is_over:
        response.headers["Retry-After"] = str(_AGAIN_S)
    return response.make_conditional(request)


def _not_found() -> Response:
    response = make_response(jsonify(error={"kind": "not_found", "message": "no such run"}), 404)
    response.headers["Cache-Control"] = "no-store"
    return response
