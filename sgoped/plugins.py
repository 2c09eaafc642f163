"""Entry-point groups: what installed packages offer, with failures as data, never raised."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

_OWN_PACKAGE = "sgoped"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plugin:
    """Something a package offers.

    Attributes:
        name: The entry point's name, unique in its group.
        package: The distribution it came with.
        value: What the entry point names, imported: usually a class.
    """

    name: str
    package: str
    value: object


@dataclass(frozen=True, slots=True)
class PluginFailure:
    """Why something a package offers is not there.

    Attributes:
        name: The entry point's name.
        package: The distribution it came with.
        error: One line, fit to show to a person.
    """

    name: str
    package: str
    error: str


def load_plugins(group: str) -> tuple[list[Plugin], list[PluginFailure]]:
    """Imports everything that installed packages offer under ``group``.

    Our own come first, then the others by package and name, so that the order is stable and
    nobody takes a built-in's name.

    Args:
        group: Such as ``sgoped.actions``.
    """
    return _load(sorted(entry_points(group=group), key=_order))


def _load(points: Iterable[EntryPoint]) -> tuple[list[Plugin], list[PluginFailure]]:
    plugins: dict[str, Plugin] = {}
    failures: list[PluginFailure] = []
    for point in points:
        package = _package(point)
        taken = plugins.get(point.name)
        if taken is not None:
            if taken.package != package:
                error = f"the name is taken by {taken.package}"
                failures.append(PluginFailure(point.name, package, error))
            continue
        try:
            plugins[point.name] = Plugin(point.name, package, point.load())
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code may raise anything
            _log.warning("plug-in %s of %s failed to load", point.name, package, exc_info=error)
            failures.append(PluginFailure(point.name, package, f"{type(error).__name__}: {error}"))
    return list(plugins.values()), failures


def _order(point: EntryPoint) -> tuple[bool, str, str]:
    package = _package(point)
    return (package != _OWN_PACKAGE, package, point.name)


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "unknown"
