"""
The request context of a job, for a view or around a function. The application's own Flask builds it.
"""

from typing import TYPE_CHECKING

from tminus.executors.python.loading import CannotLoad
from tminus.executors.python.wire import RequestContext
from tminus.suggestions import did_you_mean

if TYPE_CHECKING:
    from flask import Flask
    from flask.ctx import RequestContext as Context


def request_context(app: "Flask", request: RequestContext) -> "Context":
    """
    Return a request context that is not pushed yet. With it, an application context is pushed.

    Raises:
        CannotLoad: the endpoint has no such URL.
    """
    return app.test_request_context(
        build_url(app, request),
        method=request.method,
        headers=[(name, value) for name, value in request.headers],
        data=request.body,
        environ_base={"REMOTE_ADDR": request.remote_addr} if request.remote_addr else None,
    )


def restore_session(request: RequestContext) -> None:
    """Copy the values of a copied session into the session of the current context."""
    if request.session:
        from flask import session
        from flask.json.tag import TaggedJSONSerializer

        session.update(TaggedJSONSerializer().loads(request.session))


def build_url(app: "Flask", request: RequestContext) -> str:
    """
    Return the path and query of a request. The application builds those of an endpoint.

    Raises:
        CannotLoad: there is no such endpoint, or it takes other arguments.
    """
    if request.endpoint is None:
        return request.path or "/"
    from flask import url_for
    from werkzeug.routing import BuildError

    try:
        with app.test_request_context():
            return url_for(request.endpoint, **request.args)
    except BuildError as error:
        raise CannotLoad(_describe_build_error(app, request, error)) from None


def _describe_build_error(app: "Flask", request: RequestContext, error: Exception) -> str:
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint == request.endpoint]
    if not rules:
        hint = did_you_mean(str(request.endpoint), app.view_functions)
        return f"the application has no endpoint {request.endpoint!r}{hint}"
    lacking = min((sorted(rule.arguments - set(request.args)) for rule in rules), key=len)
    if lacking:
        return (
            f"the view {request.endpoint} needs {', '.join(lacking)}: give args: {{{lacking[0]}: …}} "
            f"({rules[0].rule})"
        )
    return f"the endpoint {request.endpoint}: {error}"
