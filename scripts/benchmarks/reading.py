"""Saved results as the graphs read them, and what they call the classes of queries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HEAD = 64  # pixels above the panels, for the title and the legend
TITLES = {
    "one_letter": "one letter",
    "two_letters": "two letters",
    "base_prefix": "start of the name",
    "word_prefix": "start of a later word",
    "substr": "inside a word",
    "subseq": "scattered letters",
    "typo": "a typo",
    "two_words": "folder and name",
    "all classes": "all",
}
Results = dict[str, Any]


def read(path: Path) -> Results:
    """What ``scripts/bench --json`` wrote.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not such a file.
    """
    results: Results = json.loads(path.read_text("utf-8"))
    if not {"rows"} <= set(results):
        raise ValueError(f"{path} was not written by scripts/bench --json")
    return results
