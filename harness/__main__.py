"""``python -m harness`` is the `reactorlab` command."""

import sys

from .cli import main

sys.exit(main())
