from __future__ import annotations

import threading

import pytest

from sgoped.doctor import examination
from sgoped.doctor.comparing import Known, compare
from sgoped.doctor.finding import Topic
from sgoped.doctor.patience import within
from sgoped.doctor.sampling import rare_word
from sgoped.memory import Entry
from tests.doctor.homes import Home


def entry(name: str, size: int = 1, mtime_ns: int = 1) -> Entry:
    return Entry(name, "file", size, mtime_ns, 1, 1)


def test_what_returns_in_time_is_returned_and_what_raises_raises() -> None:
    assert within(10, lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        within(10, lambda: 1 // 0)


def test_what_never_returns_is_left_to_itself() -> None:
    never = threading.Event()
    with pytest.raises(TimeoutError):
        within(0.05, never.wait)
    never.set()


def test_a_drive_that_does_not_answer_holds_nothing_up(
    sick: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = threading.Event()
    memory, is_dir = sick.memory, type(sick.memory).is_dir

    def hanging(path: object) -> bool:
        return never.wait(60) if path == memory else is_dir(path)  # type: ignore[arg-type]

    monkeypatch.setattr("sgoped.doctor.examination.LOOK_SECONDS", 0.2)
    monkeypatch.setattr("pathlib.Path.is_dir", hanging)
    report = sick.doctor()
    never.set()
    assert report.wrong() == {"folder_hung"}
    assert "state_sound" in report.codes()


def test_a_check_that_fails_is_told_and_the_others_go_on(
    sick: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(subject: object) -> None:
        raise RuntimeError("out of cheese")

    checks = [(Topic.STATE, broken), *examination.CHECKS]
    monkeypatch.setattr("sgoped.doctor.examination.CHECKS", checks)
    report = sick.doctor()
    assert report.wrong() == {"check_failed"}
    assert "out of cheese" in report.one("check_failed")["what"]
    assert "state_sound" in report.codes()


def test_disk_and_catalogue_are_compared_by_path_size_and_time() -> None:
    seen = {"a": entry("a"), "b": entry("b", size=2), "c": entry("c", mtime_ns=2), "d": entry("d")}
    known = {
        "a": Known("indexed", "", (1, 1)),
        "b": Known("indexed", "", (1, 1)),
        "c": Known("failed", "no permission", (1, 1)),
        "d": Known("indexed", "", None),
        "e": Known("skipped", "", (1, 1)),
    }
    found = compare(seen, known)
    assert (found.missing, found.extra, found.stale) == ([], ["e"], ["b", "c"])
    assert found.failed == {"c": "no permission"}
    assert compare(seen | {"f": entry("f")}, known, complete=False).differences == ["f", "b", "c"]


def test_the_rare_word_is_whole_and_rare() -> None:
    assert rare_word(b"water water Marmalade water wat") == "marmalade"
    assert rare_word(b"a1 b2 snake_case x-y") == ""
    assert rare_word("caf\u00e9s and \u0442\u044ea\u0442r".encode()) == ""
    assert rare_word(b"\xff\xfe binary binary words") == ""
    assert rare_word(b"cut in the middl") != "middl"
