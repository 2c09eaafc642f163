"""Menus of files as JSON, made by hand from parts that are kept: it happens at every key stroke."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from sgoped.suggestions import Card, FoundFile, Menu
from sgoped.web.wire import encode

MAX_KEPT_CARDS = 2000


class MenuEncoder:
    """Encodes menus; what one looks like is ``suggestion_json``, but for ``type`` over the socket."""

    def __init__(self) -> None:
        self._over_http: WeakKeyDictionary[Menu, bytes] = WeakKeyDictionary()
        self._over_socket: WeakKeyDictionary[Menu, bytes] = WeakKeyDictionary()
        self._cards: dict[Card, tuple[bytes, bytes, bytes]] = {}
        self._whys: dict[str, bytes] = {}

    def http(self, menu: Menu) -> bytes:
        """The menu as a JSON list."""
        return self._encode(menu, self._over_http, self._http_item)

    def socket(self, menu: Menu) -> bytes:
        """The same without each item's ``type``, which the socket's message does not have."""
        return self._encode(menu, self._over_socket, self._socket_item)

    def _encode(
        self,
        menu: Menu,
        kept: WeakKeyDictionary[Menu, bytes],
        item: Callable[[FoundFile], bytes],
    ) -> bytes:
        text = kept.get(menu)
        if text is None:
            text = kept[menu] = b"[%b]" % b",".join(map(item, menu.files))
        return text

    def _http_item(self, found: FoundFile) -> bytes:
        head, kind, metadata = self._parts(found.card)
        return b"%b%b%b%b" % (head, kind, metadata, self._why(found))

    def _socket_item(self, found: FoundFile) -> bytes:
        head, _, metadata = self._parts(found.card)
        return b"%b%b%b" % (head, metadata, self._why(found))

    def _parts(self, card: Card) -> tuple[bytes, bytes, bytes]:
        parts = self._cards.get(card)
        if parts is None:
            if len(self._cards) >= MAX_KEPT_CARDS:
                self._cards.clear()
            parts = self._cards[card] = (
                _open({"id": card.id, "label": card.label, "description": card.description}),
                b',"type":%b' % encode(card.kind),
                b',"metadata":%b'
                % _open(
                    {
                        "type": card.kind,
                        "path": card.path,
                        "size": card.size,
                        "modified": card.modified,
                    }
                ),
            )
        return parts

    def _why(self, found: FoundFile) -> bytes:
        why = self._whys.get(found.why)
        if why is None:
            why = self._whys[found.why] = encode(found.why)
        spans = ",".join([f"[{start},{end}]" for start, end in found.matches]).encode()
        return b',"why":%b,"matches":[%b],"target":"%b"}}' % (why, spans, found.target.encode())


def _open(value: dict[str, Any]) -> bytes:
    """A JSON object without its closing brace."""
    return encode(value)[:-1]
