"""P9: resident memory of the idle daemon over an interpreter with the same imports."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from scripts.benchmarks.bench import Bench
from scripts.benchmarks.processes import clean_environment, python
from scripts.benchmarks.restarting import DAEMON_IMPORTS
from scripts.benchmarks.samples import median
from scripts.benchmarks.table import Goal, Row

REST_SECONDS = 2.0
PAGE_QUERIES = ("readme", "conf", "test", "ini")
_TELL_STATUS = "print(open('/proc/self/status').read())"


def memory_mib(status: str, name: str = "VmRSS") -> float:
    """A size in ``/proc/PID/status``, in MiB.

    Raises:
        ValueError: It is not there.
    """
    for line in status.splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) / 1024
    raise ValueError(f"no {name} in the status of the process")


def measure_resident(bench: Bench) -> Iterator[Row]:
    """P9: after a restart and a few look-ups, so that the index is in memory as far as it gets."""
    if not sys.platform.startswith("linux"):
        raise RuntimeError("resident memory is only read from Linux's /proc")
    with bench.daemon() as served:
        bench.say("P9: resident memory")
        for query in PAGE_QUERIES:
            served.request("GET", f"/api/files?q={query}")
            served.request("GET", f"/api/search?q={query}")
        time.sleep(REST_SECONDS)
        status = Path(f"/proc/{served.pid}/status").read_text()
    home = bench.indexed.home
    bare = [_imports_mib(home) for _ in range(3)]
    peak, anonymous = memory_mib(status, "VmHWM"), memory_mib(status, "RssAnon")
    yield Row(
        "P9",
        "resident memory, idle, over the imports alone",
        memory_mib(status),
        median(bare),
        "MiB",
        Goal("difference", 120),
        f"anonymous {anonymous:.0f}, peak {peak:.0f}",
    )


def _imports_mib(home: Path) -> float:
    told = subprocess.run(
        python("-c", f"{DAEMON_IMPORTS}\n{_TELL_STATUS}"),
        check=True,
        capture_output=True,
        text=True,
        cwd=home,
        env=clean_environment(home),
    )
    return memory_mib(told.stdout)
