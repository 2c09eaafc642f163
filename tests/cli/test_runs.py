"""``sgoped runs``, on a real daemon."""

from __future__ import annotations

import json

from tests.cli.conftest import Sgoped


def test_answers_are_listed_shown_followed_and_forgotten(sgoped: Sgoped) -> None:
    assert sgoped("runs", "--state", "live").stdout == "no answers are kept\n"
    asked = sgoped("chat", "what needs water in April?")
    assert asked.returncode == 0
    (line,) = sgoped("runs", "--limit", "1").stdout.splitlines()
    run_id, _, _, state, *message = line.split()
    assert (state, " ".join(message)) == ("completed", "what needs water in April?")
    shown = sgoped("runs", "show", run_id).stdout
    assert "what needs water in April?" in shown
    assert "tulips need water" in shown
    assert sgoped("runs", "follow", run_id).stdout == asked.stdout
    events = sgoped("runs", "follow", run_id, "--json").stdout.splitlines()
    assert json.loads(events[-1])["type"] == "complete"
    assert sgoped("runs", "stop", run_id).stdout == "the answer had ended already\n"
    assert sgoped("runs", "forget", run_id).returncode == 0
    for verb in ("show", "follow", "stop", "forget"):
        gone = sgoped("runs", verb, run_id)
        assert gone.returncode == 1
        assert "no such run" in gone.stderr
    assert sgoped("runs", "show", "../files").returncode == 1
