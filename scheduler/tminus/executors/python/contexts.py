"""
The request context of a job, for a view or around a function. The application's own Flask builds it.
"""

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit, urlunsplit

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
    url = build_url(app, request)
    return app.test_request_context(
        url.path,
        base_url=url.base,
        method=request.method,
        headers=[(name, value) for name, value in request.headers],
        data=request.body,
        environ_base={"REMOTE_ADDR": request.remote_addr} if request.remote_addr else None,
    )


def session_cookie(app: "Flask", request: RequestContext) -> str:
    """
    Return a `Cookie` header with a session that has the values of a request. The application's own session
    interface stores it, so it may be a signed cookie, or the id of a session on a server.

    Raises:
        CannotLoad: the application has no sessions.
    """
    with request_context(app, request) as context:
        session = context.session
        if session is None or app.session_interface.is_null_session(session):
            raise CannotLoad("the application has no sessions: it has no SECRET_KEY")
        restore_session(request)
        response = app.response_class()
        app.session_interface.save_session(app, session, response)
    cookies = [line.partition(";")[0] for line in response.headers.getlist("Set-Cookie")]
    # Of two cookies with the same name, Flask reads the first.
    return "; ".join([*cookies, *(value for name, value in request.headers if name.lower() == "cookie")])


def restore_session(request: RequestContext) -> None:
    """Copy the values of a copied session into the session of the current context."""
    if request.session:
        from flask import session
        from flask.json.tag import TaggedJSONSerializer

        session.update(TaggedJSONSerializer().loads(request.session))


class RequestUrl(NamedTuple):
    """
    The URL of a request.

    Attributes:
        path: The path with its query, without the mount point.
        base: Scheme, host and mount point; None for those of the application's configuration.
    """

    path: str
    base: str | None


def build_url(app: "Flask", request: RequestContext) -> RequestUrl:
    """
    Return the URL of a request. The application builds that of an endpoint.

    Raises:
        CannotLoad: there is no such endpoint, or it takes other arguments.
    """
    if request.endpoint is None:
        return RequestUrl(request.path or "/", request.base_url)
    from flask import url_for
    from werkzeug.routing import BuildError

    try:
        with app.test_request_context() as context:
            url = urlsplit(url_for(request.endpoint, **request.args, _external=True))
    except BuildError as error:
        raise CannotLoad(_describe_build_error(app, request, error)) from None
    mount_point = context.request.root_path
    path = urlunsplit(("", "", url.path.removeprefix(mount_point), url.query, ""))
    return RequestUrl(path, f"{url.scheme}://{url.netloc}{mount_point}")


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
