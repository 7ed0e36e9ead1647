"""`apps:`, and the applications that jobs name inline."""

from collections.abc import Iterable, Iterator, Mapping

from tminus.jobsfile.jobs import schema
from tminus.jobsfile.jobs.external_references import ExternalReferences
from tminus.jobsfile.jobs.sections import NamedApp
from tminus.jobsfile.text.faults import Fault
from tminus.model.definitions import App
from tminus.model.job import Job


def build_apps(
    named: Mapping[str, NamedApp], jobs: Iterable[Job], external: ExternalReferences
) -> dict[str, App]:
    """Return all applications: those under `apps:`, then inline ones by their text."""
    apps = {name: _app(name, app.model, external) for name, app in named.items()}
    for job in jobs:
        for name, _ in job.runners:
            if name and name not in apps:
                apps[name] = App(name=name, app=name, directory=external.absolute("."))
    return apps


def app_faults(named: NamedApp, external: ExternalReferences) -> Iterator[Fault]:
    """Yield what is wrong with an application, as far as it shows without starting it."""
    app = named.model
    if app.app is None and not named.is_faulty:
        yield Fault(message="no app", hint="write app: module:app, or module:create_app()")
    if app.directory is not None and (fault := external.folder_fault(app.directory)):
        yield fault.under("directory")
    if app.python is not None and (fault := external.interpreter_fault(app.python)):
        yield fault.under("python")
    if app.env_file is not None and external.has_secrets and (fault := external.file_fault(app.env_file)):
        yield fault.under("env_file")


def _app(name: str, app: schema.AppSpec, external: ExternalReferences) -> App:
    return App(
        name=name,
        app=app.app or "",
        python=external.absolute(app.python) if app.python else None,
        directory=external.absolute(app.directory or "."),
        env_file=external.absolute(app.env_file) if app.env_file and external.has_secrets else None,
        env=None if app.env is None else frozenset(app.env),
        background=32 if app.background is None else app.background,
    )
