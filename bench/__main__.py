"""Command line of the benchmarks."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from . import churn, echo, loops
from .process import BenchError, Load

#: What `--json` writes; ``reports/schema/bench-1.schema.json`` describes it.
SCHEMA = "reactorlab.bench/1"


def main(argv: list[str] | None = None) -> int:
    """Run one benchmark; 0 when it ran, 1 when the churn leaked, 2 for a wrong use or no result."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in (("echo", echo), ("churn", churn), ("loops", loops)):
        command = commands.add_parser(name, help=(module.__doc__ or "").splitlines()[0])
        command.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
        command.add_argument("--cc", default="cc", help="C compiler for the load (%(default)s)")
        module.add_arguments(command)
        command.set_defaults(module=module)
    args = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as folder:
            data = {"schema": SCHEMA, **args.module.run(args, Load(Path(folder), args.cc))}
        if args.json:
            args.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    except (BenchError, OSError) as exc:
        print(f"\n{parser.prog}: {exc}", file=sys.stderr)
        return 2
    print(args.module.table(data))
    return int(any(result["leaks"] for result in data.get("backends", {}).values()))


if __name__ == "__main__":
    sys.exit(main())
