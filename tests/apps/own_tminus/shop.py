"""An application that imports its own module `tminus`."""

from flask import Flask

from tminus import start  # type: ignore[attr-defined]  # the module beside this one

app = Flask("shop")
app.add_url_rule("/", "index", start)
