"""The blueprint: `GET /tminus/runs/<id>`, the stream of its events, and the script that follows it."""

import json
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING

from flask import (
    Blueprint,
    Response,
    current_app,
    jsonify,
    make_response,
    render_template,
    request,
    url_for,
)

from tminus.errors import LedgerError
from tminus.flask import client
from tminus.flask.events import event_response
from tminus.flask.run_json import etag, run_to_dict, run_to_text
from tminus.model.background import is_run_id

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as WerkzeugResponse

    from tminus.model.background import RunStatus

#: `Retry-After` of a run that has not ended.
_RETRY_AFTER_S = 1
#: `Retry-After` while the ledger does not work.
_UNAVAILABLE_RETRY_AFTER_S = 5


def create_blueprint(
    name: str, url_prefix: str, authorize: Callable[[str], bool] | None, *, events: bool
) -> Blueprint:
    """
    Return the routes.

    Args:
        name: The name of the blueprint.
        url_prefix: The beginning of the paths.
        authorize: Returns whether the current request may see the run with this id. None allows every request
            that knows the id.
        events: Whether each run has an event stream.
    """
    pages = Blueprint(name, __name__, url_prefix=url_prefix, template_folder="templates")

    def visible_status(id: str) -> "RunStatus | None":
        return client.get_status(id) if is_run_id(id) and (authorize is None or authorize(id)) else None

    @pages.get("/runs/<id>")
    def run(id: str) -> "WerkzeugResponse":
        status = visible_status(id)
        if status is None:
            return _not_found()
        best = request.accept_mimetypes.best_match(["application/json", "text/html"])
        response = (
            _page(status)
            if best == "text/html"
            else Response(run_to_text(status), mimetype="application/json")
        )
        return _with_cache_headers(response, has_ended=status.outcome is not None)

    if events:

        @pages.get("/runs/<id>/events")
        def run_events(id: str) -> Response:
            status = visible_status(id)
            return _not_found() if status is None else event_response(status)

    @pages.errorhandler(LedgerError)
    def no_status(error: LedgerError) -> Response:
        # The error names the ledger, which is none of a visitor's business.
        current_app.logger.error("the status of a run cannot be read: %s", error.message)
        response = _error(503, "unavailable", "the status cannot be read now")
        response.headers["Retry-After"] = str(_UNAVAILABLE_RETRY_AFTER_S)
        return response

    @pages.get("/script.js")
    def script() -> Response:
        text = (files("tminus.flask") / "script.js").read_bytes()
        response = Response(text, mimetype="text/javascript")
        response.headers["Cache-Control"] = "max-age=3600"
        return response

    return pages


def _page(status: "RunStatus") -> Response:
    """Return the page of a run, which refreshes itself: for browsers without JavaScript."""
    run, is_over = run_to_dict(status), status.outcome is not None
    result = (
        run["result"]
        if isinstance(run["result"], str)
        else json.dumps(run["result"], indent=2, ensure_ascii=False)
    )
    here = url_for(".run", id=status.id)
    page = render_template(
        "tminus_run.html", run=run, result=result, here=here, is_over=is_over, again_s=_RETRY_AFTER_S
    )
    return make_response(page)


def _with_cache_headers(response: Response, *, has_ended: bool) -> "WerkzeugResponse":
    response.set_etag(etag(response.get_data(as_text=True)))
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Vary"] = "Accept, Cookie"
    if not has_ended:
        response.headers["Retry-After"] = str(_RETRY_AFTER_S)
    return response.make_conditional(request)


def _not_found() -> Response:
    return _error(404, "not_found", "no such run")


def _error(status: int, kind: str, message: str) -> Response:
    response = make_response(jsonify(error={"kind": kind, "message": message}), status)
    response.headers["Cache-Control"] = "no-store"
    return response
