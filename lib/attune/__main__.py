"""``python -m attune``: the same as the console command ``attune``."""

import sys

from attune.cli import main

sys.exit(main())
