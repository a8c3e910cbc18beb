"""Runs a command and writes down what it took: seconds and, in KiB, its resident memory at its highest.

A small process of its own, because Linux counts the memory of whoever starts a command as the command's: ``ru_maxrss``
outlives execve (getrusage(2)), so that what the benchmarks hold themselves would be measured.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main(report: str, *command: str) -> int:
    began = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    Path(report).write_text(json.dumps({"seconds": took, "peak_kib": usage.ru_maxrss}))
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
