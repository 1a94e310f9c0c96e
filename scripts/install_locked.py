"""Installs the packages of a lock file, saying how far it is.

Separate from pip, which prints either nothing or hundreds of lines. Run by the Makefile inside
the new environment, so it uses the standard library only. The invariant: nothing is installed
whose hash is not in the lock file; every setting of pip (PIP_*, pip.conf) holds here as well.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

EVERY_SECONDS = 10.0
KEPT_LINES = 15


def main(lock: Path) -> int:
    total = len(re.findall(r"^[A-Za-z0-9][^ ]*==", lock.read_text(encoding="utf-8"), re.MULTILINE))
    print(f"installing {total} Python packages at most: 1 to 2 minutes the first time", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--require-hashes", "--progress-bar", "off"]
    started = said = time.monotonic()
    last: deque[str] = deque(maxlen=KEPT_LINES)
    done = 0
    with subprocess.Popen(
        [*pip, "--requirement", str(lock)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as command:
        assert command.stdout is not None, "it was asked for"
        for line in command.stdout:
            last.append(line)
            total -= line.startswith("Ignoring ")  # packages of other platforms
            done += line.startswith(("Collecting ", "Requirement already satisfied: "))
            if line.startswith("Installing "):
                print(f"  unpacking {total}", flush=True)
            elif line.startswith("Collecting ") and time.monotonic() - said >= EVERY_SECONDS:
                said = time.monotonic()
                print(f"  fetched {done} of {total}, {said - started:.0f} s", flush=True)
    if command.returncode:
        sys.stderr.writelines(last)
        print("pip could not install what requirements.lock names", file=sys.stderr)
        return command.returncode
    print(f"  installed in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
