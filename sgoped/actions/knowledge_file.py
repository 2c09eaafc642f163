"""The file that ``/add_knowledge`` makes: how texts and summaries become one Markdown; pure.

::

    # Title

    ## Summary                          what a model said, as a quotation, line by line
    > ...

    ## Text                             what the person typed, verbatim
    ...

    ## Source: name (upload)            every source, verbatim, in a fence longer than any
    ```                                 run of backticks in it
    ...
    ```

A quotation ends where its lines end and a fence cannot be closed from inside, so neither a model's
words nor a source can pose as another part of the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sgoped.actions.action import ActionRequest, Source
from sgoped.prompts import (
    DEFAULT_NAME,
    fenced,
    name_from_content,
    one_line,
    snake_name,
    title_from_content,
)

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
_LANGUAGE = re.compile(r"\.([A-Za-z0-9]{1,12})$")
_LINE_BREAK = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Summary:
    """What a model said about a text.

    Attributes:
        text: Its words, not empty.
        covers: How far it got, in words; empty when it saw the whole text.
    """

    text: str
    covers: str = ""


TYPED = -1
"""Key of the typed text's summary; sources have their position."""


def render_knowledge(request: ActionRequest, summaries: Mapping[int, Summary]) -> str:
    """The whole file.

    Args:
        request: What the person gave.
        summaries: By position of the source, or ``TYPED``.
    """
    blocks = [render_head(request, summaries)]
    if request.text.strip():
        blocks.append(f"## Text\n\n{_typed(request.text, last=not request.sources)}")
    blocks.extend(_source(source) for source in request.sources)
    text = "\n\n".join(blocks)
    return text if text.endswith("\n") else f"{text}\n"


def render_head(request: ActionRequest, summaries: Mapping[int, Summary]) -> str:
    """The beginning of the file: its title, and the summaries."""
    blocks = [f"# {knowledge_title(request)}"]
    for position in (TYPED, *range(len(request.sources))):
        if position in summaries:
            heading = summary_heading(request, position)
            blocks.append(summary_block(heading, summaries[position]))
    return "\n\n".join(blocks)


def summary_heading(request: ActionRequest, position: int) -> str:
    """What the summary of a source, or of the text (``TYPED``), stands under."""
    if position == TYPED:
        return "Summary"
    return f"Summary of {one_line(request.sources[position].name)}"


def knowledge_title(request: ActionRequest) -> str:
    """One line for the top: from the typed text, else the sources' names."""
    names = ", ".join(one_line(source.name) for source in request.sources[:3])
    return title_from_content(request.text, names or "Note")


def fallback_name(request: ActionRequest) -> str:
    """A ``snake_case`` name for the file without any model; never empty."""
    if request.text.strip():
        return name_from_content(request.text)
    names: Sequence[str] = [snake_name(source.name) for source in request.sources]
    named = next((name for name in names if name), "")
    first = request.sources[0].content if request.sources else ""
    return named or name_from_content(first, DEFAULT_NAME)


def leaves_block_open(text: str) -> bool:
    """Whether Markdown behind ``text`` would still be inside one of its code blocks.

    Fences as in CommonMark 0.31, section 4.5.
    """
    open_fence = ""
    for line in _LINE_BREAK.split(text):
        found = _FENCE.match(line)
        if found is None:
            continue
        fence, rest = found.groups()
        if not open_fence:
            open_fence = fence if fence[0] == "~" or "`" not in rest else ""
        elif fence[0] == open_fence[0] and len(fence) >= len(open_fence) and not rest.strip():
            open_fence = ""
    return bool(open_fence)


def _typed(text: str, *, last: bool) -> str:
    return text if last or not leaves_block_open(text) else fenced(text, "markdown")


def summary_block(heading: str, summary: Summary) -> str:
    """A summary as it stands in the file, under its heading."""
    quoted = "\n".join(f"> {line}".rstrip() for line in _LINE_BREAK.split(summary.text))
    covers = f"\n\n(It covers {summary.covers}.)" if summary.covers else ""
    return f"## {heading}\n\n{quoted}{covers}"


def _source(source: Source) -> str:
    origin = "upload" if source.origin == "upload" else "from memory"
    ending = "" if source.content.endswith("\n") or not source.content else ", no final newline"
    language = _LANGUAGE.search(source.name)
    block = fenced(source.content, language.group(1).lower() if language else "")
    return f"## Source: {one_line(source.name)} ({origin}{ending})\n\n{block}"
