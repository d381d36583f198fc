"""`python -m qtale.cli` is `qtale`."""

import sys

from qtale.cli import main

sys.exit(main())
