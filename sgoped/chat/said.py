"""``Said``: the text of one answer while it grows, kept small; the beginning of a very long one."""

from __future__ import annotations

import zlib

MAX_TEXT_CHARS = 2**20
CHUNK_BYTES = 32 * 1024

_LEVEL = 1


class Said:
    """Pieces of text in order; what is beyond ``MAX_TEXT_CHARS`` is not kept.

    A piece is a token or so, which takes many times its characters as an object of its own. So
    pieces are kept as bytes, and packed once there are enough: hundreds of long answers may be in
    the making, and each is read as a whole only when somebody looks, and at its end.
    """

    def __init__(self, text: str = "") -> None:
        self._packed: list[bytes] = []
        self._packed_bytes = 0
        self._recent = bytearray()
        self._chars = 0
        self.add(text)

    @property
    def text(self) -> str:
        """All of it."""
        packed = b"".join([zlib.decompress(data) for data in self._packed])
        return (packed + self._recent).decode("utf-8", "surrogatepass")

    @property
    def kept_bytes(self) -> int:
        """About how much memory it takes."""
        return self._packed_bytes + len(self._recent)

    def add(self, piece: str) -> None:
        """Append a piece."""
        if self._chars >= MAX_TEXT_CHARS:
            return
        piece = piece[: MAX_TEXT_CHARS - self._chars]
        self._chars += len(piece)
        self._recent += piece.encode("utf-8", "surrogatepass")
        if len(self._recent) > CHUNK_BYTES:
            data = zlib.compress(self._recent, _LEVEL)
            self._recent = bytearray()
            self._packed.append(data)
            self._packed_bytes += len(data)
