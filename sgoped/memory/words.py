"""How names and queries become words: folding, word boundaries, and CJK bigrams; pure.

Folding is lower case without accents, length-preserving per source character where
``fold_mapped`` is used, so that ranges found in folded text can be shown in the original.
"""

from __future__ import annotations

import re
import unicodedata

# Letters that Unicode does not decompose, but that people type without their stroke.
_STROKES = str.maketrans(
    {"ø": "o", "đ": "d", "ł": "l", "ħ": "h", "\u0131": "i", "æ": "ae", "œ": "oe"}
)
_CJK = "\u2e80-\u2fdf\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_CJK_RUN = re.compile(f"[{_CJK}]+")
_RUN = re.compile(r"[^\W_]+")
# An acronym, a capitalised or lower-case word, a number, or letters without case.
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_SYMBOL = re.compile("[\u2190-\u2bff\U0001f000-\U0001faff]")


def fold(text: str) -> str:
    """``text`` in lower case without accents, width variants or ligatures."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    # NFKD takes Hangul syllables apart; NFC puts them together again.
    return unicodedata.normalize("NFC", plain.translate(_STROKES))


def fold_mapped(text: str) -> tuple[str, list[int] | None]:
    """``fold(text)`` with, per folded character, the index it came from.

    The map is ``None`` where it is the identity (ASCII).
    """
    if text.isascii():
        return text.lower(), None
    folded: list[str] = []
    origin: list[int] = []
    for index, char in enumerate(text):
        piece = fold(char)
        folded.append(piece)
        origin.extend([index] * len(piece))
    return "".join(folded), origin


def has_cjk(text: str) -> bool:
    """Whether any Chinese, Japanese or Korean character occurs."""
    return not text.isascii() and _CJK_RUN.search(text) is not None


def spread_cjk(text: str) -> str:
    """``text`` with every CJK run written as its overlapping bigrams, separated by spaces."""
    if text.isascii():
        return text
    return _CJK_RUN.sub(lambda match: f" {' '.join(_bigrams(match[0]))} ", text)


def _bigrams(run: str) -> list[str]:
    if len(run) == 1:
        return [run]
    return [run[i : i + 2] for i in range(len(run) - 1)]


def split_words(name: str) -> list[str]:
    """The folded words of a file name, in order, each once.

    Words end at separators, at ``camelCase`` and digit boundaries; a run of letters and digits
    such as ``utf8`` counts as a word too; CJK runs give their suffixes, so that a prefix match
    finds any substring; symbols such as emoji are words of their own.
    """
    if name.isascii():
        return _split_ascii(name)
    words: dict[str, None] = {}
    for match in _RUN.finditer(name):
        run = match[0]
        parts = _PART.findall(run) if run.isascii() else _unicode_parts(run)
        for part in parts:
            words[fold(part)] = None
        if len(parts) > 1 and not has_cjk(run):
            words[fold(run)] = None
    for symbol in _SYMBOL.findall(name):
        words[symbol] = None
    return [word for word in words if word]


def _split_ascii(name: str) -> list[str]:
    """The same for most names, in fewer steps: it is a good part of indexing a path."""
    words: dict[str, None] = {}
    for run in _RUN.findall(name):
        parts = _PART.findall(run)
        for part in parts:
            words[part.lower()] = None
        if len(parts) > 1:
            words[run.lower()] = None
    return list(words)


def _unicode_parts(run: str) -> list[str]:
    parts: list[str] = []
    rest = 0
    for match in _CJK_RUN.finditer(run):
        parts += _cased_parts(run[rest : match.start()])
        parts += [match[0][i:] for i in range(len(match[0]))]
        rest = match.end()
    return parts + _cased_parts(run[rest:])


def _cased_parts(run: str) -> list[str]:
    """Split where a lower-case letter or digit meets a capital, or a letter meets a digit."""
    parts: list[str] = []
    start = 0
    for i in range(1, len(run)):
        before, here = run[i - 1], run[i]
        if (here.isupper() and not before.isupper()) or here.isdigit() != before.isdigit():
            parts.append(run[start:i])
            start = i
    return [*parts, run[start:]] if run else []


def joined(text: str) -> str:
    """Folded ``text`` without separators: ``foo.test.ts`` -> ``footestts``."""
    return "".join(_RUN.findall(fold(text)))


def query_tokens(query: str, max_chars: int = 512, max_tokens: int = 32) -> list[str]:
    """The folded runs of letters, digits and symbols that a person typed, in order."""
    folded = fold(query[:max_chars])
    tokens = _RUN.findall(folded)
    if not folded.isascii():
        tokens += _SYMBOL.findall(folded)
    return tokens[:max_tokens]
