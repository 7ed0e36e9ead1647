"""The request that surrounds a job: built by the application's own Flask, for a view to answer or a function to find."""

from typing import TYPE_CHECKING

from scheduler.executors.python.loading import CannotLoad
from scheduler.executors.python.wire import RequestContext

if TYPE_CHECKING:
    from flask import Flask
    from flask.ctx import RequestContext as Context


def around(app: "Flask", request: RequestContext) -> "Context":
    """
    A request context that is not pushed yet. Pushed, it brings an application context of its own.

    Raises:
        CannotLoad: the endpoint has no such URL.
    """
    return app.test_request_context(
        url_of(app, request),
        method=request.method,
        headers=[(name, value) for name, value in request.headers],
        data=request.body,
        environ_base={"REMOTE_ADDR": request.remote_addr} if request.remote_addr else None,
    )


def restore_session(request: RequestContext) -> None:
    """Put the values of a copied session into the one of the context that is pushed."""
    if request.session:
        from flask import session
        from flask.json.tag import TaggedJSONSerializer

        session.update(TaggedJSONSerializer().loads(request.session))


def url_of(app: "Flask", request: RequestContext) -> str:
    """
    Path and query of a request; that of an endpoint is built by the application.

    Raises:
        CannotLoad: it has no such endpoint, or the endpoint wants other arguments.
    """
    if request.endpoint is None:
        return request.path or "/"
    from flask import url_for
    from werkzeug.routing import BuildError

    try:
        with app.test_request_context():
            return url_for(request.endpoint, **request.args)
    except BuildError as error:
        raise CannotLoad(_why(app, request, error)) from None


def _why(app: "Flask", request: RequestContext, error: Exception) -> str:
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint == request.endpoint]
    if not rules:
        from difflib import get_close_matches

        near = get_close_matches(str(request.endpoint), list(app.view_functions), n=1)
        return f"the application has no endpoint {request.endpoint!r}" + (f"; did you mean {near[0]}?" if near else "")
    lacking = min((sorted(rule.arguments - set(request.args)) for rule in rules), key=len)
    if lacking:
        return f"the view {request.endpoint} needs {', '.join(lacking)}: give args: {{{lacking[0]}: …}} ({rules[0].rule})"
    return f"the endpoint {request.endpoint}: {error}"
