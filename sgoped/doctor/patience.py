"""Waits for what may never return, such as a look at a network drive that is away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """What ``work`` returns or raises, unless it takes longer; it is then left to itself.

    Raises:
        TimeoutError: It takes longer.
    """
    outcome: list[Callable[[], Result]] = []

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            caught = error
            outcome.append(lambda: _raise(caught))
        else:
            outcome.append(lambda: result)

    # A thread in the background: the process does not wait for it to end.
    thread = threading.Thread(target=run, name="doctor", daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError(f"nothing came back within {seconds:g} s")
    return outcome[0]()


def _raise(error: BaseException) -> Result:  # type: ignore[type-var]
    raise error
