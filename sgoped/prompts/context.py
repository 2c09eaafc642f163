"""Context: files, uploads and history into the messages a model is sent, within its window; pure.

Small sources go in whole, the rest share what is left evenly: an outline and the passages that
fit the question best, each line with its number. Files that only the history or a search speaks
of get what the others leave. What did not fit is said twice, to the model in the prompt and to
the caller as ``ContextItem``: nothing is cut in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil

from sgoped.llm import Message
from sgoped.prompts.fences import MATERIAL_RULE, estimate_tokens, one_line
from sgoped.prompts.history import MESSAGE_TOKENS, History
from sgoped.prompts.passages import never, question_terms, rank_pieces
from sgoped.prompts.showing import MIN_SHARE_TOKENS, Shown, needed_tokens, show_source
from sgoped.prompts.sources import ContextItem, ContextSource, Lines

SYSTEM_RULE = (
    "You answer a person's question about files on their own computer. Base the answer on the "
    "files and uploads below where they bear on it, and say so when they do not hold the answer. "
    "Their lines stand behind their numbers and a bar, which are not part of them. Behind each "
    "statement that relies on them, cite where it stands, as [path:line] or [path:first-last], "
    "such as [notes/plan.md:12] or [notes/plan.md:12-14]: with the path of the heading, and only "
    "with lines that you see. " + MATERIAL_RULE
)

_MAX_ANSWER_TOKENS = 4096
_HEADING_TOKENS = 60
_MAX_NAMED = 20
_FIRST = ("attached", "referenced")


@dataclass(frozen=True, slots=True)
class Window:
    """What a model can hold.

    Attributes:
        tokens: For prompt and answer together.
        correction: How many tokens the model's own count has for each estimated one.
    """

    tokens: int
    correction: float = 1.0

    @property
    def prompt_tokens(self) -> int:
        """Estimated tokens that a prompt may have; up to a quarter is left for the answer."""
        answer = min(self.tokens // 4, _MAX_ANSWER_TOKENS)
        return int((self.tokens - answer) / self.correction)

    def corrected(self, estimate: int) -> int:
        """An estimate as the model will probably count it."""
        return ceil(estimate * self.correction)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is sent, and the account of it.

    Attributes:
        messages: For ``Service.stream``.
        items: One per source, in the order given.
        notes: Things a person should know that belong to no single source.
        estimate: How many tokens the messages were estimated to be, without any correction.
        tokens: The same, as the model will probably count it.
    """

    messages: tuple[Message, ...]
    items: tuple[ContextItem, ...]
    notes: tuple[str, ...]
    estimate: int
    tokens: int


def assemble(
    question: str,
    sources: Sequence[ContextSource],
    *,
    window: Window,
    missing: Sequence[str] = (),
    history: History | None = None,
    should_stop: Callable[[], bool] = never,
) -> Prompt:
    """Make the messages for one question.

    A message without sources is sent as it is. The question itself is never cut.

    Args:
        question: What the person typed.
        sources: What goes along; the earlier ones win when not even an outline of all fits.
        window: What the model can hold.
        missing: What was referred to and could not be had, one line each.
        history: What was said before, made to fit by ``room_for_history``.
        should_stop: Asked now and then; once true, the result is of no use to anybody and is
            returned as soon as possible.
    """
    history = history or History()
    gaps = _missing_text(missing)
    room = _room(question, sources, gaps, window) - history.tokens
    terms = question_terms(question)
    shares = _shares_by_rank(sources, room)
    parts = [
        show_source(source, share, terms, should_stop)
        for source, share in zip(sources, shares, strict=True)
    ]
    left_out = _left_out_text([part for part in parts if not part.text])
    with_files = bool(sources or missing)
    rules = [SYSTEM_RULE if with_files else "", history.system_text()]
    system = "\n\n".join(text for text in rules if text)
    blocks = [part.text for part in parts] + [left_out, gaps]
    user = "\n\n".join(text for text in [*blocks, f"## Message\n\n{question}"] if text)
    said = history.messages()
    last = Message("user", user if with_files else question)
    messages = (*([Message("system", system)] if system else []), *said, last)
    return _accounted(question, messages, parts, window)


def room_for_history(
    question: str, sources: Sequence[ContextSource], missing: Sequence[str], window: Window
) -> int:
    """Estimated tokens that history may take: what the sources leave, at least a third of all."""
    room = _room(question, sources, _missing_text(missing), window)
    present = sum(needed_tokens(source) for source in sources if source.why in _FIRST)
    return max(0, room // 3, room - present)


def best_passages(
    question: str, source: ContextSource, max_passages: int, max_chars: int
) -> list[tuple[Lines, str]]:
    """The passages of a source that fit a question best, best first, with their lines.

    Without a word in common it is the beginning of the source.
    """
    terms = question_terms(question)
    ranked = rank_pieces(source.content, terms, max_chars, max_passages)
    fitting = [piece for score, piece in ranked if score > 0]
    fitting = fitting or [piece for _, piece in ranked[:1]]
    return [
        ((piece.line_start, piece.line_end), source.content[piece.start : piece.end])
        for piece in fitting
    ]


def _room(question: str, sources: Sequence[ContextSource], gaps: str, window: Window) -> int:
    """Estimated tokens that are left for sources and history."""
    fixed = estimate_tokens(question) + 2 * MESSAGE_TOKENS
    if sources or gaps:
        fixed += estimate_tokens(SYSTEM_RULE) + estimate_tokens(gaps) + _HEADING_TOKENS
        fixed += min(_names_tokens(sources), window.prompt_tokens // 8)
    return window.prompt_tokens - fixed


def _names_tokens(sources: Sequence[ContextSource]) -> int:
    """What naming the sources that are left out may take at most, of those that may have to be."""
    if len(sources) == 1:
        return _HEADING_TOKENS // 2
    names = sorted((estimate_tokens(one_line(source.name)) + 1 for source in sources), reverse=True)
    return sum(names[:_MAX_NAMED])


def _accounted(
    question: str, messages: tuple[Message, ...], parts: Sequence[Shown], window: Window
) -> Prompt:
    estimate = sum(estimate_tokens(message.content) + MESSAGE_TOKENS for message in messages)
    tokens = window.corrected(estimate)
    items = tuple(replace(part.item, tokens=window.corrected(part.item.tokens)) for part in parts)
    notes = () if tokens < window.tokens else (_size_note(question, tokens, window),)
    return Prompt(messages, items, notes, estimate, tokens)


def _size_note(question: str, tokens: int, window: Window) -> str:
    alone = window.corrected(estimate_tokens(question))
    return (
        f"The message alone is about {alone} tokens, which makes {tokens} in all, more than the "
        f"{window.tokens} the model can hold: the service may refuse it."
    )


def _missing_text(missing: Sequence[str]) -> str:
    if not missing:
        return ""
    lines = [f"- {one_line(text)}" for text in missing[:_MAX_NAMED]]
    if len(missing) > _MAX_NAMED:
        lines.append(f"- and {len(missing) - _MAX_NAMED} more")
    return "Referred to, but not available:\n" + "\n".join(lines)


def _left_out_text(parts: Sequence[Shown]) -> str:
    if not parts:
        return ""
    names = [one_line(part.item.name) for part in parts[:_MAX_NAMED]]
    more = f" and {len(parts) - _MAX_NAMED} more" if len(parts) > _MAX_NAMED else ""
    return f"Left out entirely, for want of room: {', '.join(names)}{more}."


def _shares_by_rank(sources: Sequence[ContextSource], room: int) -> list[int]:
    """Tokens for each source; what history or a search speaks of gets what the others leave."""
    needs = [needed_tokens(source) for source in sources]
    first = [at for at, source in enumerate(sources) if source.why in _FIRST]
    later = [at for at, source in enumerate(sources) if source.why not in _FIRST]
    shares = [0] * len(sources)
    for group in (first, later):
        for at, share in zip(group, _shares([needs[at] for at in group], room), strict=True):
            shares[at] = share
            room -= share
    return shares


def _shares(needs: Sequence[int], room: int) -> list[int]:
    """Tokens for each need: small ones get all of it, the others divide the rest evenly."""
    shares = [0] * len(needs)
    waiting = sorted(range(len(needs)), key=lambda at: needs[at])
    while waiting and needs[waiting[0]] * len(waiting) <= room:
        at = waiting.pop(0)
        shares[at] = needs[at]
        room -= needs[at]
    served = sorted(waiting)[: max(0, room) // MIN_SHARE_TOKENS]
    for at in served:
        shares[at] = min(needs[at], room // len(served))
    return shares
