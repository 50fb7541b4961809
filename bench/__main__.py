"""``python -m bench`` is ``reactorlab bench``."""

import sys

from harness.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", *sys.argv[1:]]))
