"""Latent semantic analysis of a folder of texts: a model that embeds, small enough for a bench.

Words that keep the same company get vectors near each other (Deerwester et al., 1990), so that a
text is found without a common word. There is no chance in it: the same folder gives the same
vectors.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 200
MIN_DOCUMENTS = 2
MAX_SHARE = 0.2
_WORD = re.compile(r"[^\W_]{2,}")

Matrix = NDArray[np.float64]


def words_of(text: str) -> list[str]:
    """The words of a text, cut to stems in the crudest way."""
    return [word[:6] for word in _WORD.findall(text.lower())]


class Latent:
    """Vectors of texts, in a space made of some texts.

    Args:
        texts: At least two.
        dimensions: Of the space; fewer where there are fewer texts.
    """

    def __init__(self, texts: Sequence[str], dimensions: int = DIMENSIONS) -> None:
        counts = [Counter(words_of(text)) for text in texts]
        documents = Counter(word for count in counts for word in count)
        most = max(MIN_DOCUMENTS, MAX_SHARE * len(texts))
        known = sorted(word for word, found in documents.items() if MIN_DOCUMENTS <= found <= most)
        self._places = {word: place for place, word in enumerate(known)}
        self._weights = np.log(len(texts) / np.array([documents[word] for word in known]))
        rows = np.stack([self._row(count) for count in counts])
        # The small symmetric matrix has the same left vectors as the long one, and far sooner.
        values, left = np.linalg.eigh(rows @ rows.T)
        kept = np.argsort(values)[::-1][: min(dimensions, len(texts) - 1)]
        kept = kept[values[kept] > values.max() * 1e-9]
        self._axes: Matrix = rows.T @ (left[:, kept] / np.sqrt(values[kept]))
        self.dimensions = len(kept)

    def _row(self, counts: Counter[str]) -> Matrix:
        row = np.zeros(len(self._places))
        for word, count in counts.items():
            place = self._places.get(word)
            if place is not None:
                row[place] = (1 + np.log(count)) * self._weights[place]
        length = np.linalg.norm(row)
        return row / length if length else row

    def vector(self, text: str) -> list[float]:
        """The vector of a text; of one without a known word some vector, always the same."""
        vector = self._row(Counter(words_of(text))) @ self._axes
        return [float(x) for x in vector] if vector.any() else noise(text, self.dimensions)


def noise(text: str, dimensions: int) -> list[float]:
    """A vector that says nothing of what the text means: what a bad model would give."""
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
    return [float(x) for x in np.random.default_rng(seed).standard_normal(dimensions)]


def read_texts(folder: Path) -> list[str]:
    """The texts of the files of a folder, in the order of their names."""
    return [path.read_text("utf-8") for path in sorted(folder.rglob("*.txt"))]
