"""Names for files: what a model is asked, what is kept of its answer, and names without one; pure.

Two kinds of name: a short ``snake_case`` one that we make (from a model's answer or from the
content), and one that a person gave, of which as much is kept as is safe.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from sgoped.llm import Message
from sgoped.prompts.fences import MATERIAL_RULE, fenced

MAX_NAME_CHARS = 60
MAX_NAME_BYTES = 180
DEFAULT_NAME = "note"

_PREVIEW_CHARS = 4000
_MAX_WORDS = 6
_SCAN_CHARS = 20_000
_NAME_RULE = (
    "You name files. Answer with one file name and nothing else: two to five words in lower "
    "case joined by underscores, no extension, no quotes, in the language of the text. "
    + MATERIAL_RULE
)

_CLOSED_THOUGHT = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_TAIL_THOUGHT = re.compile(r"^.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_OPEN_THOUGHT = re.compile(r"<think(?:ing)?>.*\Z", re.DOTALL | re.IGNORECASE)
_MARKED = re.compile(
    r"`+([^`\n]{1,200})`+|\*\*([^*\n]{1,200})\*\*|[\"“«„]([^\"”»“\n]{1,200})[\"”»“]"
)
_LABELLED = re.compile(
    r"(?:file\s*name|filename|name|title|answer)\W{1,4}(?:is\W{1,4})?(\S.*)", re.IGNORECASE
)
_SNAKE = re.compile(r"(?<![^\W_])[^\W_]+(?:_[^\W_]+)+(?![^\W_])")
_FENCE_LINE = re.compile(r"^\s*(?:```|~~~).*$", re.MULTILINE)
_EXTENSION = re.compile(r"\.[a-z][a-z0-9]{0,4}$", re.IGNORECASE)
_KEPT_EXTENSION = re.compile(r"\.(?=[0-9]*[a-z])[a-z0-9_+-]{1,10}$", re.IGNORECASE)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_UNSAFE = frozenset('<>:"/\\|?*')
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"]
)
_NOT_TEXT_SUFFIXES = (
    ".7z .avi .avif .bin .bmp .bz2 .class .db .dll .doc .docx .dylib .exe .flac .gif .gz .heic "
    ".ico .jar .jpeg .jpg .m4a .mkv .mov .mp3 .mp4 .o .odp .ods .odt .ogg .pdf .png .ppt .pptx "
    ".pyc .rar .so .sqlite .tar .tif .tiff .wav .webm .webp .woff .woff2 .xls .xlsx .xz .zip "
    ".zst"
)
_COMMON_WORDS = (
    "a about all an and are as at be been but by can could did do for from had has have he her "
    "his i if in into is it its me my no not of on or our please she so that the their them then "
    "there these they this to was we were what when which who will with would you your"
)
_NOT_TEXT = frozenset(_NOT_TEXT_SUFFIXES.split())
_COMMON = frozenset(_COMMON_WORDS.split())
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def file_name_messages(text: str) -> tuple[Message, ...]:
    """The messages that ask a model to name a text; only its beginning is sent."""
    preview = fenced(text[:_PREVIEW_CHARS])
    return (Message("system", _NAME_RULE), Message("user", f"Name this text:\n\n{preview}"))


def without_thoughts(text: str) -> str:
    """A model's answer without ``<think>`` parts, closed, unclosed or unopened."""
    text = _CLOSED_THOUGHT.sub("", text)
    return _OPEN_THOUGHT.sub("", _TAIL_THOUGHT.sub("", text)).strip()


def name_from_answer(answer: str) -> str:
    """The file name in a model's answer, ``""`` when there is none.

    Quotes, markdown, "Sure, here is ...", thinking and extensions are left behind.

    Returns:
        As ``snake_name`` makes it.
    """
    text = without_thoughts(answer[:_SCAN_CHARS])
    for candidate in _candidates(_FENCE_LINE.sub("", text)):
        name = snake_name(candidate)
        if name:
            return name
    return ""


def snake_name(text: str) -> str:
    """``text`` as a short, safe ``snake_case`` name without extension, ``""`` when nothing is left.

    Letters and digits of every script are kept with their marks, in Unicode's composed
    compatibility form; all else becomes ``_``. At most 6 words, 60 characters and 180 bytes;
    Windows' reserved device names get a suffix. Idempotent.
    """
    text = unicodedata.normalize("NFKC", text[:_SCAN_CHARS]).strip()
    text = _HUMP.sub("_", _EXTENSION.sub("", text)).lower()
    spaced = "".join(char if _is_letter(char) else " " for char in text.replace("'", ""))
    spaced = unicodedata.normalize("NFKC", spaced)
    words = [word for word in (_without_loose_marks(word) for word in spaced.split()) if word]
    name = _bounded(words[:_MAX_WORDS])
    return f"{name}_file" if name in _RESERVED else name


def name_from_content(text: str, default: str = DEFAULT_NAME) -> str:
    """A name for a text without any model: its first heading, else its first meaningful words.

    Returns:
        As ``snake_name`` makes it; ``default`` when the text has no letters. Never empty.
    """
    head = text[:_SCAN_CHARS]
    heading = _HEADING.search(head)
    if heading is not None:
        name = snake_name(f"{heading.group(1)} ")
        if name:
            return name
    words = _WORD.findall(head)[: 10 * _MAX_WORDS]
    meaningful = [word for word in words if word.lower() not in _COMMON] or words
    return snake_name(" ".join(meaningful[: _MAX_WORDS - 1])) or default


def title_from_content(text: str, default: str) -> str:
    """One line that can stand above a text: its first heading, else its first line, bounded."""
    head = text[:_SCAN_CHARS]
    heading = _HEADING.search(head)
    lines = [heading.group(1)] if heading else [line for line in head.splitlines() if line.strip()]
    title = " ".join("".join(c if c.isprintable() else " " for c in "".join(lines[:1])).split())
    if len(title) <= MAX_NAME_CHARS:
        return title or default
    return title[:MAX_NAME_CHARS].rpartition(" ")[0] or title[:MAX_NAME_CHARS]


def safe_file_name(given: str) -> str:
    """The file name a person gave, kept where it is safe and made so where not.

    A path is reduced to its last component; control and direction characters, leading dots
    and what Windows forbids go; ``.md`` is added when there is no extension, or one that stands
    for something that is not text. At most 180 bytes.

    Returns:
        A single component with an extension, or ``""`` when nothing of the name is left.
    """
    shown = (c for c in given[:_SCAN_CHARS] if unicodedata.category(c) not in _INVISIBLE)
    text = unicodedata.normalize("NFC", "".join(shown))
    last = re.split(r"[/\\]", text.rstrip("/\\ "))[-1]
    last = "".join("_" if char in _UNSAFE else char for char in last)
    last = last.lstrip(". ").rstrip(". ")
    if not any(_is_letter(char) for char in last):
        return ""
    extension = _KEPT_EXTENSION.search(last)
    suffix = extension.group() if extension and extension.start() else ""
    stem = last.removesuffix(suffix) if suffix else last
    if suffix.lower() in _NOT_TEXT or not suffix:
        stem, suffix = last, ".md"
    device, dot, rest = stem.partition(".")
    if device.strip().lower() in _RESERVED:
        stem = f"{device.strip()}_file{dot}{rest}"
    return f"{_cut_bytes(stem, MAX_NAME_BYTES - len(suffix)).rstrip('. ')}{suffix}"


def _candidates(text: str) -> Sequence[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return ()
    single = [line for line in lines if len(line.split()) == 1]
    if len(lines) == 1 and single:
        return single
    marked = ["".join(filter(None, match.groups())) for match in _MARKED.finditer(text)]
    likely = [name for name in marked if len(name.split()) <= _MAX_WORDS]
    labelled = [found.group(1) for line in lines if (found := _LABELLED.search(line))]
    return (*likely, *single, *_SNAKE.findall(text), *labelled, *lines)


def _is_letter(char: str) -> bool:
    return unicodedata.category(char)[0] in "LNM"


def _without_loose_marks(word: str) -> str:
    start = 0
    while start < len(word) and unicodedata.category(word[start])[0] == "M":
        start += 1
    return word[start:]


def _bounded(words: Sequence[str]) -> str:
    name = ""
    for word in words:
        longer = f"{name}_{word}" if name else word
        if len(longer) > MAX_NAME_CHARS or len(longer.encode()) > MAX_NAME_BYTES:
            break
        name = longer
    if name or not words:
        return name
    return unicodedata.normalize("NFKC", _cut_bytes(words[0][:MAX_NAME_CHARS], MAX_NAME_BYTES))


def _cut_bytes(text: str, max_bytes: int) -> str:
    return text.encode()[:max_bytes].decode(errors="ignore")
