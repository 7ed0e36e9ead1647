"""Applications for tests: each folder of `tests/apps` is one."""

import shutil
from pathlib import Path

_APPS = Path(__file__).resolve().parent.parent / "apps"


def install(name: str, folder: Path) -> Path:
    """Copy the files of an application into a folder; return that folder."""
    # Without `__init__.py`: its modules import one another by their own names.
    ignored = shutil.ignore_patterns("__init__.py", "__pycache__")
    return shutil.copytree(_APPS / name, folder, ignore=ignored, dirs_exist_ok=True)


def install_package(name: str, folder: Path) -> Path:
    """Copy an application that is a package into a folder, from which it can be imported; return that folder."""
    shutil.copytree(_APPS / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder
