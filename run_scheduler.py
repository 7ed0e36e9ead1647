"""`python run_scheduler.py …` is `tminus …`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "scheduler"))

try:
    from tminus.cli.main import main
except ModuleNotFoundError as error:
    sys.exit(
        f"error: {error.name} is not installed here\n  hint: make setup; .venv/bin/python run_scheduler.py …"
    )

sys.exit(main())
