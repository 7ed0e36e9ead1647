"""Functions for `prepare`, most of which do what they may not."""

import hashlib
import hmac
import os
import threading
import time
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from flask import request as around

from tminus.flask import Failure, Request, current_occurrence

app = Flask("shop")
app.config["KEY"] = b"made up"
folder = Path(__file__).parent


def sign(request: Request) -> None:
    request.url += "&signed=yes" if "?" in request.url else "?signed=yes"
    request.body = b"[" + (request.body or b"") + b"]"
    signature = hmac.new(current_app.config["KEY"], request.body, hashlib.sha256)
    request.headers["x-signature"] = signature.hexdigest()


def look_around(request: Request) -> None:
    is_its_own = current_occurrence().id == request.headers["X-Tminus-Occurrence"]
    print(is_its_own, around.method, around.full_path, around.data)


def fails(request: Request) -> None:
    print("about to fail")
    raise ValueError("no such key")


def returns(request: Request) -> dict[str, str]:
    return {"url": "http://elsewhere/"}


def exits(request: Request) -> None:
    raise SystemExit(3)


def goes_elsewhere(request: Request) -> None:
    request.url = "ftp://shop.example.com/"


def two_in_one(request: Request) -> None:
    request.headers["X-Key"] = "1\r\nX-Other: 2"


def another_host(request: Request) -> None:
    request.headers["Host"] = "elsewhere"


def another_method(request: Any) -> None:
    request.method = "DELETE"


def gives_a_body(request: Any) -> None:
    request.body = "to a GET"


def tells(request: Request) -> None:
    print(request.url)
    raise ValueError(request.url)


def waits(request: Request) -> None:
    (folder / f"{os.getpid()}.waits").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)


def note(failure: Failure) -> None:
    (folder / "note").write_text(f"{failure.outcome} {failure.kind}: {failure}")


def takes_long(request: Request) -> None:
    time.sleep(1.5)


def hangs(request: Request) -> None:
    threading.Event().wait()


def dies_once(request: Request) -> None:
    if not (folder / "died").exists():
        (folder / "died").touch()
        os._exit(3)


def dies(request: Request) -> None:
    os._exit(3)
