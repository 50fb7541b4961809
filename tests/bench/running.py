"""The command of the benchmarks, and what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from harness import schema

ROOT = Path(__file__).resolve().parents[2]


def bench(*args, **env):
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, args)],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def report(path):
    data = json.loads(path.read_text())
    schema.of("reactorlab.bench/2", complete=True)(data)
    return data
