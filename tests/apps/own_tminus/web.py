"""An application that imports the package, beside a module that has its name."""

from flask import Flask

from tminus.flask import Scheduler

app = Flask("web")
Scheduler(app, app="web")
