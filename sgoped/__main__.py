"""The ``sgoped`` command, also as ``python -m sgoped``."""

from __future__ import annotations

import gc

from sgoped import cli


def main() -> None:
    """Runs under the same name however it was started: completion depends on it."""
    # Imports leave no garbage, but looking for it in all they bring takes a sixth of a start. On
    # again once the verb is loaded, and for the daemon once it serves.
    gc.disable()
    cli.main(prog_name="sgoped")


if __name__ == "__main__":
    main()
