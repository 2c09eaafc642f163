"""What a daemon tells of an answer besides its text: what was sent along, and which places hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sgoped.cli.options import one_line

_MAX_LINES = 20


def context_lines(event: dict[str, Any]) -> Iterator[str]:
    """All that goes along with a message, and all that does not."""
    if event.get("window_tokens"):
        yield f"sent: about {event['tokens']:,} of {event['window_tokens']:,} tokens"
    for item in event.get("items", ()):
        sent = _ranges(item) or "nothing"
        yield one_line(
            f"  {item['path'] or item['name']}: {sent} of {item['total_lines']} lines, "
            f"{item['tokens']:,} tokens ({item['why']}; {item['chosen']})"
        )
        if item["omitted"]:
            yield one_line(f"    left out: {item['omitted']}")
    history = event.get("history") or {}
    if any(history.get(part) for part in ("whole", "compacted", "left_out")):
        yield (
            f"  earlier messages: {history['whole']} whole, {history['compacted']} in a summary, "
            f"{history['left_out']} left out"
        )
    for missing in event.get("missing", ()):
        yield one_line(f"  not available: {missing}")
    for note in event.get("notes", ()):
        yield one_line(f"  {note}")


def omission_line(event: dict[str, Any]) -> str:
    """In one line, what a model is not sent of what was meant; empty when it is sent all."""
    if not event.get("window_tokens"):
        return ""
    parts = [item["path"] or item["name"] for item in event.get("items", ()) if item["omitted"]]
    told = [f"sent in part or not at all: {_few(parts)}"] if parts else []
    missing = [text.partition(":")[0] for text in event.get("missing", ())]
    told += [f"not available: {_few(missing)}"] if missing else []
    history = event.get("history") or {}
    shortened = history.get("compacted", 0) + history.get("left_out", 0)
    told += [f"earlier messages shortened: {shortened}"] if shortened else []
    return one_line(f"({'; '.join(told)}; --context tells more)") if told else ""


def unresolved_lines(event: dict[str, Any]) -> Iterator[str]:
    """The places that an answer names and that were not sent, with the reason."""
    wrong = [found for found in event.get("citations", ()) if not found["resolved"]]
    for found in wrong[:_MAX_LINES]:
        yield one_line(f"(does not hold: {found['text']}: {found['reason']})")
    if len(wrong) > _MAX_LINES:
        yield f"(and {len(wrong) - _MAX_LINES} more that do not hold)"


def _ranges(item: dict[str, Any]) -> str:
    ranges = [f"{first}" if first == last else f"{first}-{last}" for first, last in item["lines"]]
    ranges += [f"{line} (in part)" for line, _, _ in item["cut_lines"]]
    return _few(ranges)


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_LINES} more" if len(names) > _MAX_LINES else ""
    return ", ".join(names[:_MAX_LINES]) + more
