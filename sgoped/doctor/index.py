"""Examines whether disk, catalogue and indexes agree, and whether the indexes find what they hold.

With a daemon, the daemon is asked, as any client would ask it; without one the caches are read.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from sgoped.database import remove_database
from sgoped.doctor.comparing import Comparison, Known, compare
from sgoped.doctor.finding import Finding, Severity, Topic, counted, few
from sgoped.doctor.instance import Daemon
from sgoped.doctor.sampling import Sample, choose_samples
from sgoped.doctor.subject import Subject, Walk, walk_folder
from sgoped.memory import (
    Catalogue,
    IndexBrokenError,
    IndexClaim,
    ReadIndex,
    disagreement,
    read_catalogue,
    read_index,
    read_through,
    shown,
)
from sgoped.paths import Paths

_finding = partial(Finding, Topic.INDEX)

# A page costs the daemon a look at every path: of more files, the catalogue's word is taken.
MAX_LISTED = 20_000
_PAGE = 1000
_WALK_SECONDS = 20.0
_REFRESH_SECONDS = 600.0
_OWN_DIRECTORY = re.compile(r"(?:names|bodies)-\d+-[\w.+-]+")
# So much of an index is read as can be in this time; a running daemon reads all of it once a day.
_READ_SECONDS = 5.0
_DAMAGES = (sqlite3.DatabaseError, ValueError, LookupError, TypeError)


def check_index(subject: Subject, walk: Walk) -> Iterator[Finding]:
    """Compare everything, and look a few files up."""
    catalogue, findings = _catalogue(subject)
    yield from findings
    daemon = subject.instance.daemon
    if daemon is not None:
        yield from _check_online(subject, daemon, walk, catalogue)
    elif catalogue is not None and not subject.instance.held:
        yield from _check_offline(subject, walk, catalogue)


def _catalogue(subject: Subject) -> tuple[Catalogue | None, list[Finding]]:
    path, running = subject.paths.catalogue_db, subject.instance.running
    try:
        return read_catalogue(path, live=running), []
    except FileNotFoundError:
        found = _finding(
            "catalogue_none", Severity.NOTE, "nothing is indexed yet; a start does it", str(path)
        )
    except OSError as error:
        found = _finding(
            "catalogue_unreadable",
            Severity.PROBLEM,
            f"the catalogue cannot be read: {error.strerror or error}",
            str(path),
            "change its permissions, or delete it: it is made again",
        )
    except _DAMAGES as error:
        if "no such table" in str(error):
            what = "another version made the catalogue; the next start makes a new one"
            return None, [_finding("catalogue_of_other_version", Severity.NOTE, what, str(path))]
        found = _damaged(subject, "catalogue_damaged", f"the catalogue is damaged: {error}", path)
    return None, [found]


def _damaged(subject: Subject, code: str, what: str, where: Path) -> Finding:
    paths = subject.paths
    running = subject.instance.running
    how = (
        f"{'stop sgoped, then ' if running else ''}use --fix to delete the caches; a start makes "
        "them again from your files"
    )
    fix = None if running else lambda: delete_caches(paths)
    return _finding(code, Severity.WARNING, what, str(where), how, fix)


def delete_caches(paths: Paths) -> None:
    """Delete the catalogue and the indexes, which are made again; for who holds the lock.

    Raises:
        OSError: The disk refuses.
    """
    remove_database(paths.catalogue_db)
    if paths.index_dir.is_symlink():
        raise OSError(f"{paths.index_dir} is a link, so what it leads to is left alone")
    for directory in paths.index_dir.iterdir() if paths.index_dir.is_dir() else ():
        if _OWN_DIRECTORY.fullmatch(directory.name) and not directory.is_symlink():
            shutil.rmtree(directory)


# -- with a daemon


def _check_online(
    subject: Subject, daemon: Daemon, walk: Walk, catalogue: Catalogue | None
) -> Iterator[Finding]:
    index = subject.instance.health["index"]
    if index["pending"] or not index["verified"]:
        yield _finding(
            "indexing",
            Severity.NOTE,
            f"indexing is going on ({index['progress']:.0%}); run this again when it is done",
            daemon.url,
        )
        return
    found = _compare_online(daemon, walk, catalogue)
    if found.differences:
        # Changes of the last moment are on their way; what differs then, differs.
        settings = subject.settings
        time.sleep(settings.quiet_seconds + settings.max_delay_seconds + 1.0)
        walk = walk_folder(subject.paths.memory_dir, _WALK_SECONDS)
        found = _compare_online(daemon, walk, _catalogue(subject)[0])
    yield from _judge(subject, found, walk, daemon)
    if catalogue is not None and not found.differences:
        samples = choose_samples(subject, walk, catalogue)
        blind = [sample.path for sample in samples if not _is_found(daemon, sample)]
        yield from _judge_samples(subject, samples, blind)


def _compare_online(daemon: Daemon, walk: Walk, catalogue: Catalogue | None) -> Comparison:
    stored = _known(catalogue) if catalogue is not None else {}
    if len(walk.files) > MAX_LISTED and stored:
        known: Mapping[str, Known] = stored
    else:
        known = {
            path: replace(file, stat=stored[path].stat if path in stored else None)
            for path, file in _listed(daemon)
        }
    return compare(walk.by_shown_path, known, complete=walk.complete)


def _known(catalogue: Catalogue) -> dict[str, Known]:
    return {shown(path): Known.of(file) for path, file in catalogue.files.items()}


def _listed(daemon: Daemon) -> Iterator[tuple[str, Known]]:
    after = ""
    while True:
        page = daemon.get("/api/index", limit=_PAGE, after=after)["files"]
        for file in page:
            yield file["path"], Known(file["state"], file["reason"], None)
        if len(page) < _PAGE:
            return
        after = page[-1]["path"]


def _is_found(daemon: Daemon, sample: Sample) -> bool:
    path = shown(sample.path)
    if sample.word:
        hits = daemon.get("/api/search", q=sample.word, path=path, limit=20)["hits"]
        if not any(hit["path"] == path for hit in hits):
            return False
    name = path.rpartition("/")[2].lower()
    suggested = daemon.get("/api/files", q=name, limit=50)
    return any(item["metadata"]["path"] == path for item in suggested)


# -- without one


def _check_offline(subject: Subject, walk: Walk, catalogue: Catalogue) -> Iterator[Finding]:
    mark = catalogue.mark
    if not mark.next_pid and not catalogue.files:
        yield _finding("catalogue_none", Severity.NOTE, "nothing is indexed yet; a start does it")
        return
    found = compare(walk.by_shown_path, _known(catalogue), complete=walk.complete)
    yield from _judge(subject, found, walk, None)
    samples = choose_samples(subject, walk, catalogue)
    for name, claim in (("names", mark.names), ("bodies", mark.bodies)):
        fault, blind = _read(subject.paths.index_dir, name, claim, samples)
        if fault:  # unless it was of the moment, such as no memory to map a file
            fault, blind = _read(subject.paths.index_dir, name, claim, samples)
        if fault:
            what = f"the {name} index is damaged: {fault}"
            yield _damaged(subject, "index_damaged", what, subject.paths.index_dir)
            return
        if blind:
            yield from _judge_samples(subject, samples, blind)
            return
    yield from _judge_samples(subject, samples, [])


def _read(
    index_dir: Path, name: str, claim: IndexClaim, samples: list[Sample]
) -> tuple[str, list[str]]:
    """What is wrong with an index, and which samples it does not find."""
    try:
        # First of all: tantivy would search damaged files without a word.
        damage = read_through(index_dir, name, _READ_SECONDS)
        if damage:
            return damage, []
        with read_index(index_dir, name) as index:
            fault = disagreement(claim, index.found)
            blind = (
                [] if fault else [each.path for each in samples if not _holds(index, name, each)]
            )
            return fault, blind
    except FileNotFoundError:
        return "it is not there", []
    except (IndexBrokenError, OSError) as error:
        return str(error), []


def _holds(index: ReadIndex, name: str, sample: Sample) -> bool:
    if name == "names":
        return index.holds_name(sample.pid, sample.path)
    return not sample.word or index.holds_word(sample.pid, sample.word)


# -- what it means


def _judge(
    subject: Subject, found: Comparison, walk: Walk, daemon: Daemon | None
) -> Iterator[Finding]:
    root = subject.paths.memory_dir
    refresh = _refreshing(daemon) if daemon is not None else None
    if found.failed:
        path, reason = next(iter(found.failed.items()))
        yield _finding(
            "files_failed",
            Severity.WARNING,
            f"{counted(len(found.failed), 'file')} could not be indexed: {path} ({reason})",
            str(root / path),
            "make it readable; sgoped tries again by itself",
            refresh,
        )
    if found.differences:
        yield _finding(
            "index_behind",
            Severity.NOTE if daemon is None else Severity.WARNING,
            f"the index differs from the folder in {counted(len(found.differences), 'file')}: "
            f"{len(found.missing):,} missing, {len(found.extra):,} gone, "
            f"{len(found.stale):,} changed ({few(found.differences)})",
            str(root),
            "the next start catches up"
            if daemon is None
            else "sgoped refresh, or --fix; it happens by itself every "
            f"{subject.settings.reconcile_seconds:g} s",
            refresh,
        )
    else:
        yield _finding(
            "index_equal",
            Severity.OK,
            f"disk, catalogue and index agree on {counted(len(walk.files), 'file')}",
            str(root),
        )


def _refreshing(daemon: Daemon) -> Callable[[], object]:
    return lambda: daemon.post("/api/refresh", {}, _REFRESH_SECONDS)


def _judge_samples(subject: Subject, samples: list[Sample], blind: list[str]) -> Iterator[Finding]:
    if blind:
        yield _damaged(
            subject,
            "index_blind",
            f"{len(blind)} of {counted(len(samples), 'file')} that were looked up are not found "
            f"by a word or by their name: {few([shown(path) for path in blind])}",
            subject.paths.index_dir,
        )
    elif samples:
        yield _finding(
            "index_proven",
            Severity.OK,
            f"{counted(len(samples), 'file')} looked up by name and by a rare word: all found",
        )
