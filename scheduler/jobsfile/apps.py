"""`apps:`, and the applications that jobs name without it."""

from collections.abc import Iterable, Iterator, Mapping

from scheduler.jobsfile import language
from scheduler.jobsfile.faults import Fault
from scheduler.jobsfile.outside import Outside
from scheduler.jobsfile.sections import NamedApp
from scheduler.model.definitions import App
from scheduler.model.job import Job


def apps_of(named: Mapping[str, NamedApp], jobs: Iterable[Job], outside: Outside) -> dict[str, App]:
    """All applications: those under `apps:`, then inline ones by their text."""
    apps = {name: _app(name, app.model, outside) for name, app in named.items()}
    for job in jobs:
        for name, _ in job.runners:
            if name and name not in apps:
                apps[name] = App(name=name, app=name, directory=outside.absolute("."))
    return apps


def app_faults(named: NamedApp, outside: Outside) -> Iterator[Fault]:
    """What is wrong with an application, as far as it shows without starting it."""
    app = named.model
    if app.app is None and not named.is_faulty:
        yield Fault(words="no app", hint="write app: module:app, or module:create_app()")
    if app.directory is not None and (fault := outside.folder_fault(app.directory)):
        yield fault.under("directory")
    if app.python is not None and (fault := outside.interpreter_fault(app.python)):
        yield fault.under("python")
    if app.env_file is not None and (fault := outside.file_fault(app.env_file)):
        yield fault.under("env_file")


def _app(name: str, app: language.App, outside: Outside) -> App:
    return App(
        name=name,
        app=app.app or "",
        python=outside.absolute(app.python) if app.python else None,
        directory=outside.absolute(app.directory or "."),
        env_file=outside.absolute(app.env_file) if app.env_file else None,
        env=None if app.env is None else frozenset(app.env),
        background=32 if app.background is None else app.background,
    )
