from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

from sgoped.cli.verbs import main

SERVE = """
import gc, sys
from pathlib import Path
from sgoped import daemon
from sgoped.config import Settings
from sgoped.daemon import process
from sgoped.paths import resolve_paths

async def tell(self, stop):
    print(gc.isenabled(), gc.get_freeze_count() > 0)

process._Daemon._serve = tell
gc.disable()
home = Path(sys.argv[1])
paths = resolve_paths(home)
paths.memory_dir.mkdir(parents=True)
sys.exit(daemon.serve(Settings(home=home, port=0), paths))
"""


def test_garbage_is_collected_once_the_daemon_serves(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", SERVE, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert told.stdout == "True True\n"


def test_garbage_is_collected_once_a_verb_is_loaded() -> None:
    with main.make_context("sgoped", ["status"]) as context:
        gc.disable()
        try:
            main.get_command(context, "status")
            assert gc.isenabled()
        finally:
            gc.enable()
