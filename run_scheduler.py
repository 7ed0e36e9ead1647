"""`python run_scheduler.py …` is `tminus …`."""

import sys

try:
    from scheduler.cli.main import main
except ModuleNotFoundError as error:
    sys.exit(f"error: {error.name} is not installed here\n  hint: make setup; .venv/bin/python run_scheduler.py …")

sys.exit(main())
