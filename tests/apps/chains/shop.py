"""Targets of jobs, and the links that follow them."""

import json
import os
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, jsonify, request

app = Flask("shop")
app.config["NAME"] = "the shop"
folder = Path(__file__).parent


@app.post("/reports/<int:n>")
def report(n: int) -> Response:
    return jsonify(n=n)


@app.get("/broken")
def broken() -> str:
    raise ValueError("no such customer")


def export(n: int = 1) -> dict[str, int]:
    return {"n": n}


def long(value: object = None) -> str:
    return "x" * 2_000_000


def fails() -> None:
    raise ValueError("nothing to export")


def note(value: Any, **more: Any) -> dict[str, bool]:
    """Append what a link gets, and what is around it, to the notes."""
    said = value
    if isinstance(value, Exception):
        names = ("outcome", "kind", "message", "traceback")
        said = {name: getattr(value, name) for name in names} | {"text": str(value)}
    elif hasattr(value, "status"):
        said = {
            "status": value.status,
            "type": value.headers["content-TYPE"],
            "text": value.text,
            "json": value.json(),
        }
    more["app"] = current_app.config["NAME"] if current_app else None
    more["request"] = [request.method, request.full_path] if request else None
    print("noted for", request.path if request else "nobody")
    with (folder / "notes").open("a") as file:
        file.write(f"{json.dumps([said, more])}\n")
    return {"noted": True}


def breaks(value: object) -> None:
    raise KeyError("customer")


def no_json(value: object) -> object:
    return object()


def dies(value: object) -> None:
    with (folder / "deaths").open("a") as file:
        file.write("died\n")
    os._exit(3)


def echo(value: object, t: str) -> None:
    print("the token is", t)
    raise ValueError(t)
