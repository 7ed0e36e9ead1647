"""Applications for tests: each folder of `tests/apps` is one."""

import shutil
from pathlib import Path

_APPS = Path(__file__).resolve().parent.parent / "apps"


def install(name: str, folder: Path) -> Path:
    """Copy the files of an application into a folder; return that folder."""
    # Without `__init__.py`: its modules import one another by their own names.
    ignored = shutil.ignore_patterns("__init__.py", "__pycache__")
    return shutil.copytree(_APPS / name, folder, ignore=ignored, dirs_exist_ok=True)
