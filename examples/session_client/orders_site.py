"""
A small site with a login: `python orders_site.py [PORT]`. Its only user is tminus, with the password
$ORDERS_PASSWORD.
"""

import os
import secrets
import sys

from flask import Flask, abort, jsonify, request, session
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.serving import make_server

app = Flask(__name__)
app.secret_key = secrets.token_bytes(32)
_open = [1001, 1002, 1003]


@app.post("/login")
def login() -> ResponseReturnValue:
    """Start a session: set a cookie, and return the token that a change requires."""
    good = secrets.compare_digest(request.form["password"].encode(), os.environ["ORDERS_PASSWORD"].encode())
    if not good or request.form["user"] != "tminus":
        abort(403, "wrong user or password")
    session["user"], session["csrf"] = "tminus", secrets.token_hex(16)
    return {"user": session["user"], "csrf": session["csrf"]}


@app.get("/orders")
def orders() -> ResponseReturnValue:
    """Return the open orders to a logged-in user."""
    if "user" not in session:
        abort(401, "log in first")
    return {"open": _open}


@app.post("/orders/confirm")
def confirm() -> ResponseReturnValue:
    """Confirm orders for a logged-in user who sends the token of this session."""
    if "user" not in session:
        abort(401, "log in first")
    if request.headers.get("X-CSRF-Token") != session["csrf"]:
        abort(400, "the token is missing, or not that of this session")
    return {"confirmed": request.get_json()["orders"], "by": session["user"]}


@app.errorhandler(HTTPException)
def refused(error: HTTPException) -> ResponseReturnValue:
    """Return an error as JSON."""
    return jsonify(error=error.description), error.code or 500


if __name__ == "__main__":
    server = make_server("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8078, app, threaded=True)
    print(f"http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()
