"""Labels: the shortest end of a path that identifies it, and the way back from a label to a path.

A label is all that a client sends back with a chat, so ``resolve(label(pid)) == pid`` as long as
no file comes or goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sgoped.memory.document import ID_PREFIX, Kind, document_id, path_from_id, shown
from sgoped.memory.table import PathTable

# Among more namesakes than this the whole path is the label: telling thousands of __init__.py
# apart by their shortest ends would take longer than reading the longer label.
MAX_NAMESAKES = 64


def _visible_namesakes(table: PathTable, name: str) -> list[str]:
    paths = []
    for pid in table.namesakes(name):
        path = table.path(pid)
        if path is not None and table.kind(pid) is not Kind.BINARY:
            paths.append(path)
    return paths


def label(table: PathTable, path: str) -> str:
    """The base name where it is unique, else as much of the path as tells it from the others.

    A path that is not UTF-8 is labelled by its id, since what is shown of it may be ambiguous; so
    is a name that looks like an id.
    """
    if shown(path) is not path and shown(path) != path:
        return document_id(path)
    name = path.rpartition("/")[2]
    if name.startswith(ID_PREFIX):
        return document_id(path)
    count = table.count_namesakes(name)
    if count <= 1:
        return name
    if count > MAX_NAMESAKES:
        return path
    others = [other for other in _visible_namesakes(table, name) if other != path]
    parts = path.split("/")
    for kept in range(1, len(parts)):
        end = "/".join(parts[-kept:])
        # A whole path always means that very file, also one that is never suggested.
        if table.find(end) is None and not any(other.endswith(f"/{end}") for other in others):
            return end
    return path


def resolve(
    table: PathTable, reference: str, prefer: Callable[[Sequence[str]], str]
) -> tuple[int, bool] | None:
    """The pid that an id, a path or a label names.

    Args:
        table: The path table.
        reference: What a client sent.
        prefer: Chooses among several paths that end as the reference does.

    Returns:
        The pid, and whether other paths were meant as well as it; ``None`` when nothing is named.
    """
    path = path_from_id(reference)
    pid = table.find(reference.strip("/") if path is None else path)
    if pid is not None:
        return pid, False
    if path is not None:
        return None
    end = reference.strip().removeprefix("./").strip("/")
    paths = [
        path
        for path in _visible_namesakes(table, end.rpartition("/")[2])
        if path == end or path.endswith(f"/{end}")
    ]
    if not paths:
        return None
    pid = table.find(prefer(paths))
    return None if pid is None else (pid, len(paths) > 1)
