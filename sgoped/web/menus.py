"""Menus of files as JSON, made by hand from parts that are kept: it happens at every key stroke."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from sgoped.suggestions import Card, FoundFile, Menu
from sgoped.web.wire import encode

MAX_KEPT_CARDS = 2000


class MenuEncoder:
    """Encodes menus; what one looks like is ``suggestion_json``, but for ``type`` over the socket."""

    def __init__(self) -> None:
        self._over_http: WeakKeyDictionary[Menu, bytes] = WeakKeyDictionary()
        self._over_socket: WeakKeyDictionary[Menu, bytes] = WeakKeyDictionary()
        self._http_cards: dict[Card, bytes] = {}
        self._socket_cards: dict[Card, bytes] = {}
        self._whys: dict[str, bytes] = {}

    def http(self, menu: Menu) -> bytes:
        """The menu as a JSON list."""
        return self._encode(menu, self._over_http, self._http_cards, typed=True)

    def socket(self, menu: Menu) -> bytes:
        """The same without each item's ``type``, which the socket's message does not have."""
        return self._encode(menu, self._over_socket, self._socket_cards, typed=False)

    def _encode(
        self,
        menu: Menu,
        texts: WeakKeyDictionary[Menu, bytes],
        cards: dict[Card, bytes],
        *,
        typed: bool,
    ) -> bytes:
        text = texts.get(menu)
        if text is None:
            if len(cards) >= MAX_KEPT_CARDS:
                cards.clear()
            items = []
            for found in menu.files:
                card = cards.get(found.card)
                if card is None:
                    card = cards[found.card] = _open(found.card, typed=typed)
                items.append(card + self._why(found))
            text = texts[menu] = b"[%b]" % b",".join(items)
        return text

    def _why(self, found: FoundFile) -> bytes:
        why = self._whys.get(found.why)
        if why is None:
            why = self._whys[found.why] = encode(found.why)
        spans = ",".join([f"[{start},{end}]" for start, end in found.matches]).encode()
        return b',"why":%b,"matches":[%b],"target":"%b"}}' % (why, spans, found.target.encode())


def _open(card: Card, *, typed: bool) -> bytes:
    """A card as JSON but for the two closing braces, since more of its metadata follow."""
    metadata = {
        "type": card.kind,
        "path": card.path,
        "size": card.size,
        "modified": card.modified,
    }
    value = {"id": card.id, "label": card.label, "description": card.description}
    if typed:
        value["type"] = card.kind
    return encode({**value, "metadata": metadata})[:-2]
