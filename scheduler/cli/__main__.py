"""`python -m scheduler.cli` is `tminus`."""

import sys

from scheduler.cli.main import main

sys.exit(main())
