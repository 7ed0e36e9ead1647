"""`python -m tminus.cli` is `tminus`."""

import sys

from tminus.cli.main import main

sys.exit(main())
