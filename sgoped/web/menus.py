"""Menus of files as JSON, written by hand where that is safe: it happens at every key stroke."""

from __future__ import annotations

from types import MappingProxyType
from weakref import WeakKeyDictionary

from sgoped.memory import ID_PREFIX, PathHit, is_plain
from sgoped.suggestions import Menu, Suggestion, describe, found, kind_of, mentioned, timestamp
from sgoped.web.render import suggestion_json
from sgoped.web.wire import encode

MAX_KEPT_TIMES = 4000
SECOND_NS = 1_000_000_000

_TYPES = MappingProxyType({kind: f'"type":"{kind}",' for kind in ("file", "folder", "image")})


class MenuEncoder:
    """Encodes menus, each once; what one looks like is ``suggestion_json``."""

    def __init__(self) -> None:
        self._over_http: WeakKeyDictionary[Menu, bytes] = WeakKeyDictionary()
        self._over_socket: WeakKeyDictionary[Menu, bytes] = WeakKeyDictionary()
        self._times: dict[int, str] = {}

    def http(self, menu: Menu) -> bytes:
        """The menu as a JSON list."""
        return self._encode(menu, self._over_http, typed=True)

    def socket(self, menu: Menu) -> bytes:
        """The same without each item's ``type``, which the socket's message does not have."""
        return self._encode(menu, self._over_socket, typed=False)

    def _encode(self, menu: Menu, kept: WeakKeyDictionary[Menu, bytes], *, typed: bool) -> bytes:
        text = kept.get(menu)
        if text is None:
            items = [self._item(hit, typed=typed) for hit in menu.hits]
            items += [_plainly(mentioned(mention), typed=typed) for mention in menu.mentions]
            text = kept[menu] = f"[{','.join(items)}]".encode()
        return text

    def _item(self, hit: PathHit, *, typed: bool) -> str:
        (_, path, kind_there, size, mtime_ns), label, why, matches, target = hit
        if not is_plain(path):
            return _plainly(found(hit), typed=typed)
        kind = kind_of(kind_there)
        spans = ",".join([f"[{start},{end}]" for start, end in matches])
        return (
            f'{{"id":"{ID_PREFIX}{path}","label":"{label}",'
            f'"description":"{describe(path, kind, size)}",{_TYPES[kind] if typed else ""}'
            f'"metadata":{{"type":"{kind}","path":"{path}","size":{size},'
            f'"modified":"{self._time(mtime_ns)}","why":"{why}",'
            f'"matches":[{spans}],"target":"{target}"}}}}'
        )

    def _time(self, mtime_ns: int) -> str:
        seconds = mtime_ns // SECOND_NS
        text = self._times.get(seconds)
        if text is None:
            if len(self._times) >= MAX_KEPT_TIMES:
                self._times.clear()
            text = self._times[seconds] = timestamp(mtime_ns)
        return text


def _plainly(suggestion: Suggestion, *, typed: bool) -> str:
    value = suggestion_json(suggestion)
    if not typed:
        del value["type"]
    return encode(value).decode()
