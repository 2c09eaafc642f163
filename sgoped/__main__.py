"""The ``sgoped`` command, also as ``python -m sgoped``."""

from __future__ import annotations

from sgoped import cli


def main() -> None:
    """Runs under the same name however it was started: completion depends on it."""
    cli.main(prog_name="sgoped")


if __name__ == "__main__":
    main()
