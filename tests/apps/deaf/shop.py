"""An application that takes what it is sent."""

import os

from flask import Flask

from tminus.flask import Scheduler, background

app = Flask("shop")
scheduler = Scheduler(app, app="shop")


def pid(*_: object) -> int:
    return os.getpid()


@background
def takes(text: str) -> int:
    return len(text)
