"""Runs every check, none for ever, and mends what is safe to mend.

Looking changes nothing. What ``mend`` changes is sgoped's own alone; without a daemon it is done
under the instance lock, and with one only what does not touch the data it has open.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from sgoped.doctor import (
    access,
    daemon,
    folder,
    health,
    index,
    leftovers,
    limits,
    places,
    services,
    state,
    versions,
)
from sgoped.doctor.finding import Finding, Severity, Topic
from sgoped.doctor.instance import Unanswered
from sgoped.doctor.patience import within
from sgoped.doctor.subject import Subject, Walk, walk_folder
from sgoped.errors import SgopedError, StartupError

CHECK_SECONDS = 30.0
WALK_SECONDS = 20.0
LOOK_SECONDS = 5.0

Check = Callable[[Subject], Iterable[Finding]]
WalkCheck = Callable[[Subject, Walk], Iterable[Finding]]
CHECKS: tuple[tuple[Topic, Check], ...] = (
    (Topic.DAEMON, daemon.check_daemon),
    (Topic.DAEMON, daemon.check_remains),
    (Topic.DAEMON, daemon.check_port),
    (Topic.DAEMON, daemon.check_unit),
    (Topic.SETTINGS, places.check_settings),
    (Topic.PLACES, places.check_places),
    (Topic.ACCESS, access.check_access),
    (Topic.INDEX, health.check_index_health),
    (Topic.STATE, state.check_state),
    (Topic.LEFTOVERS, leftovers.check_leftovers),
    (Topic.SERVICES, services.check_services),
    (Topic.LIMITS, limits.check_open_files),
    (Topic.VERSIONS, versions.check_versions),
)
# These wait for the memory folder's drive.
DRIVE_CHECKS: tuple[tuple[Topic, Check], ...] = (
    (Topic.FOLDER, folder.check_folder),
    (Topic.FOLDER, folder.check_disks),
    (Topic.FOLDER, health.check_watcher),
    (Topic.LIMITS, limits.check_watches),
)
WALK_CHECKS: tuple[tuple[Topic, WalkCheck], ...] = (
    (Topic.FOLDER, folder.check_contents),
    (Topic.INDEX, index.check_index),
    (Topic.LEFTOVERS, leftovers.check_temporary_files),
)


def examine(subject: Subject) -> list[Finding]:
    """Everything that is found, by topic; changes nothing."""
    findings = [found for topic, check in CHECKS for found in _run(topic, check, subject)]
    findings += _examine_folder(subject)
    order = list(Topic)
    return sorted(findings, key=lambda found: order.index(found.topic))


def _examine_folder(subject: Subject) -> list[Finding]:
    root = subject.paths.memory_dir
    try:
        is_there = within(LOOK_SECONDS, root.is_dir)
    except TimeoutError:
        hung = "the memory folder does not answer; is its network drive away?"
        mend = "mount it again, or change memory_dir"
        return [Finding(Topic.FOLDER, "folder_hung", Severity.PROBLEM, hung, str(root), mend)]
    findings = [found for topic, check in DRIVE_CHECKS for found in _run(topic, check, subject)]
    if not is_there:
        return findings
    try:
        walk = within(2 * WALK_SECONDS, lambda: walk_folder(root, WALK_SECONDS))
    except OSError:  # TimeoutError is one; that the folder cannot be read was found already
        return findings
    for topic, walk_check in WALK_CHECKS:
        findings += _run(topic, partial(_checked, walk_check, walk), subject)
    return findings


def _checked(check: WalkCheck, walk: Walk, subject: Subject) -> Iterable[Finding]:
    return check(subject, walk)


def _run(topic: Topic, check: Check, subject: Subject) -> list[Finding]:
    """One check's findings; that it failed is one, too."""
    try:
        return within(CHECK_SECONDS, lambda: list(check(subject)))
    except Unanswered as error:
        what = f"the daemon did not answer: {error}"
        return [Finding(topic, "daemon_refused", Severity.PROBLEM, what, mend="look at its log")]
    except TimeoutError:
        what = f"this took longer than {CHECK_SECONDS:g} s; a drive may be away"
        return [Finding(topic, "check_slow", Severity.PROBLEM, what)]
    except Exception as error:  # noqa: BLE001 - the other checks still have something to say
        what = f"a check failed: {type(error).__name__}: {error}"
        return [Finding(topic, "check_failed", Severity.PROBLEM, what)]


def mend(subject: Subject, findings: Sequence[Finding]) -> list[Finding]:
    """Mend what can be mended, and say of each what came of it."""
    if not any(found.fix for found in findings):
        return list(findings)
    with contextlib.ExitStack() as stack:
        if not subject.instance.running:
            # Imports the whole daemon, which looking need not wait for.
            from sgoped.daemon.lock import hold_lock  # noqa: PLC0415

            try:
                lock = stack.enter_context(hold_lock(subject.paths.lock_file))
            except StartupError as error:
                mend = "run this again"
                refused = ("lock_refused", Severity.PROBLEM, error.message, "", mend)
                return [*findings, Finding(Topic.DAEMON, *refused)]
            lock.describe(memory_dir=subject.instance.memory_dir)
        return [_mend_one(found) for found in findings]


def _mend_one(found: Finding) -> Finding:
    if found.fix is None:
        return found
    try:
        found.fix()
    except (OSError, SgopedError, Unanswered) as error:
        return replace(found, mend=f"--fix could not: {error}; {found.mend}")
    return replace(found, mended=True)
