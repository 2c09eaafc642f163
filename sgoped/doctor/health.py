"""Examines what a running daemon tells of its own parts: the watcher and the indexes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from sgoped.doctor.finding import Finding, Severity, Topic
from sgoped.doctor.subject import Subject


def check_watcher(subject: Subject) -> Iterator[Finding]:
    """How changes in the memory folder are noticed, and whether any may have been missed."""
    watcher = subject.instance.health.get("watcher", {})
    state, reason = watcher.get("state"), watcher.get("reason") or "no reason is told"
    where = str(subject.paths.memory_dir)
    if state == "polling":
        what = f"changes are found by polling: {reason}"
        yield Finding(Topic.FOLDER, "polling", Severity.NOTE, what, where)
    elif state == "degraded":
        yield Finding(
            Topic.FOLDER,
            "not_watched",
            Severity.PROBLEM,
            f"changes are not noticed: {reason}",
            where,
            "it is tried again all the time; see that the folder is there and can be read",
        )
    trouble = watcher.get("last_trouble")
    if trouble and trouble["reason"] != reason:
        yield Finding(
            Topic.FOLDER,
            "watcher_troubled",
            Severity.NOTE,
            f"changes may have been noticed late until {_when(trouble)}: {trouble['reason']}",
            where,
        )


def check_index_health(subject: Subject) -> Iterator[Finding]:
    """What was made again, what cannot be indexed, and whether the indexes were read through."""
    index = subject.instance.health.get("index", {})
    where = str(subject.paths.index_dir)
    if index.get("problem"):
        yield Finding(
            Topic.INDEX,
            "index_problem",
            Severity.PROBLEM,
            f"not all can be indexed: {index['problem']}",
            where,
            "remove the cause; sgoped tries again by itself",
        )
    repair = index.get("last_repair")
    if repair:
        what = f"on {_when(repair)} something was made again: {repair['reason']}"
        yield Finding(Topic.INDEX, "index_repaired", Severity.NOTE, what, where)
    embedding = index.get("embedding", {}).get("state", "")
    if embedding.startswith("waiting: "):
        what = f"files are found by words, not by meaning: {embedding.removeprefix('waiting: ')}"
        yield Finding(Topic.INDEX, "embedding_waits", Severity.NOTE, what, where)
    if index.get("verified") and not index.get("checked", True):
        what = "the daemon has not read through the index yet; that comes soon after its start"
        yield Finding(Topic.INDEX, "index_unchecked", Severity.NOTE, what, where)


def _when(told: Mapping[str, Any]) -> str:
    return time.strftime("%Y-%m-%d at %H:%M", time.localtime(told["at"]))
