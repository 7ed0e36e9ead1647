"""The application `shop`, imported in this process as in a web worker."""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest

from tests.support.apps import install
from tminus.flask import application


@contextlib.contextmanager
def web_worker(folder: Path, app: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """
    Yield the module `shop` of an application of `tests/apps`, imported from a copy in this folder. It submits
    to the ledger of a daemon in this folder.
    """
    monkeypatch.delitem(sys.modules, "shop", raising=False)  # one that several tests share
    monkeypatch.syspath_prepend(install(app, folder))
    monkeypatch.setenv("TMINUS_LEDGER", f"sqlite:///{folder}/ledger/ledger.db")
    # A process of its own would not know the schedulers of other tests.
    monkeypatch.setattr(application, "schedulers", WeakSet())
    try:
        yield importlib.import_module("shop")
    finally:
        del sys.modules["shop"]
