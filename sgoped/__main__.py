"""The ``sgoped`` command, also as ``python -m sgoped``."""

from __future__ import annotations

from sgoped.cli import main

if __name__ == "__main__":
    main()
