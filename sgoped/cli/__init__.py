"""Arguments, exit codes, and what a person reads on a terminal."""

from __future__ import annotations

from sgoped.cli.verbs import main

__all__ = ["main"]
