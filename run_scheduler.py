"""`python run_scheduler.py …` is `tminus …`."""

import sys

from scheduler.cli.main import main

sys.exit(main())
