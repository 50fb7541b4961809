"""Write down what the kernel of this machine answers: ``python tests/kernel/record.py FOLDER``.

The kqueue probe where there is a kqueue, and the verifier's programs anywhere; what comes out can be
put into ``tests/kernel/records`` and is checked there on every machine. Needs the harness, and
nothing that is compiled. A kernel that answers otherwise than its dialect is no failure here: it is
what the record is for, and told in ``differences.txt``.
"""

from __future__ import annotations

import platform
import re
import select
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAMS = 300


def main(folder: Path, programs: int = PROGRAMS) -> int:
    """Make the records; returns the exit code of what failed first, else 0."""
    folder.mkdir(parents=True, exist_ok=True)
    words = f"{platform.system()}-{platform.release().partition('-')[0]}"
    name = re.sub(r"[^a-z0-9.-]", "-", words.lower())
    verify = [
        *(sys.executable, "-m", "harness.kernel.verify", "--programs", str(programs)),
        *("--record", str(folder / f"verify-{name}.json")),
    ]
    code = _run(verify, folder / "differences.txt")
    if hasattr(select, "kqueue"):
        probe = [sys.executable, str(HERE / "records/kq_probe.py"), "native"]
        code = code or _run(probe, folder / f"kqueue-{name}.json")
    return code


def _run(command: list[str], output: Path) -> int:
    with output.open("w", encoding="utf-8") as file:
        return subprocess.run(command, stdout=file, check=False).returncode


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: record.py FOLDER")
    sys.exit(main(Path(sys.argv[1])))
