"""Finds a second module `tminus`, an application's own: `import tminus` can reach only one of the two."""

import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path


def other_tminus() -> str | None:
    """
    Return the file of a module `tminus` on the module search path that is not this package; None if there is
    none. Another version of this package does not count, and neither does a folder without `__init__.py`.
    """
    specs = (PathFinder.find_spec("tminus", [folder]) for folder in sys.path)
    return next((spec.origin for spec in specs if spec and spec.origin and not _is_ours(spec)), None)


def _is_ours(spec: ModuleSpec) -> bool:
    # The copy in `alone/` has only an `__init__.py`, which leads to this package.
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    return any(
        (folder / "executors" / "python").is_dir() or folder.parent.name == "alone" for folder in folders
    )
