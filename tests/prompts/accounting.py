"""Compares what a model was really sent with the account that was given of it, line by line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sgoped.prompts import ContextItem, one_line

GUTTER = re.compile(r"(\d+)\| (.*)", re.DOTALL)
OUTLINE = re.compile(r"(\d+): (.*)", re.DOTALL)
OURS = (
    re.compile(r"`{3,}"),
    re.compile(r"Lines? [\d-]+(, only characters \d+-\d+ of line \d+( and .*)?)?:"),
    re.compile(r"Outline, with line numbers:"),
    re.compile(r"Not shown of this source: .*\."),
    re.compile(r"Left out entirely, for want of room: .*\."),
    re.compile(r""),
)


def assert_told_exactly(
    prompt: str, question: str, items: Sequence[ContextItem], contents: Mapping[str, str]
) -> None:
    """Every line that an item lists is in ``prompt``, as it is in the file, and no other text.

    Args:
        prompt: The last message that the model was sent.
        question: What the person typed; nothing is missing and nothing was said before.
        items: The account.
        contents: The text of each source, by path or name.
    """
    assert prompt.endswith(f"## Message\n\n{question}")
    sections = _sections(prompt.removesuffix(f"## Message\n\n{question}"))
    shown = [item for item in items if item.lines or item.cut_lines]
    headings = [f"{one_line(item.path or item.name)} (" for item in shown]
    kept = [(head, body) for head, body in sections if not head.endswith(", whole, 0 lines")]
    assert len(kept) == len(shown)
    for item, expected, (heading, body) in zip(shown, headings, kept, strict=True):
        assert heading.startswith(expected)
        _assert_section(body, item, contents[item.path or item.name].split("\n"))


def _sections(text: str) -> list[tuple[str, list[str]]]:
    sections: list[tuple[str, list[str]]] = [("", [])]
    for line in text.split("\n"):
        if line.startswith("## "):
            sections.append((line.removeprefix("## "), []))
        else:
            sections[-1][1].append(line)
    assert all(_is_ours(line) for line in sections[0][1])
    return sections[1:]


def _assert_section(body: Sequence[str], item: ContextItem, lines: Sequence[str]) -> None:
    expected = {
        (number, lines[number - 1])
        for first, last in item.lines
        for number in range(first, last + 1)
    }
    expected |= {(line, lines[line - 1][first - 1 : last]) for line, first, last in item.cut_lines}
    outlined = {(number, lines[number - 1].strip()[:80]) for number in item.outline_lines}
    found: list[tuple[int, str]] = []
    headings: list[tuple[int, str]] = []
    for line in body:
        if match := GUTTER.fullmatch(line):
            found.append((int(match[1]), match[2]))
        elif match := OUTLINE.fullmatch(line):
            headings.append((int(match[1]), match[2]))
        else:
            assert _is_ours(line), line
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert set(headings) == outlined
    everything = {number for number, _ in expected} == set(range(1, item.total_lines + 1))
    assert bool(item.omitted) is (not everything or bool(item.cut_lines))


def _is_ours(line: str) -> bool:
    return any(pattern.fullmatch(line) for pattern in OURS)
