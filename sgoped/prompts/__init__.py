"""What a model is sent: references, context within a budget, names and summaries; all pure."""

from sgoped.prompts.citations import FoundCitation, find_citations
from sgoped.prompts.context import (
    Prompt,
    Window,
    assemble,
    best_passages,
    room_for_history,
)
from sgoped.prompts.fences import MATERIAL_RULE, estimate_tokens, fence_for, fenced, one_line
from sgoped.prompts.history import (
    History,
    Turn,
    extract_history,
    split_history,
    summarise_history,
    summary_room,
    turns_tokens,
)
from sgoped.prompts.naming import (
    DEFAULT_NAME,
    file_name_messages,
    name_from_answer,
    name_from_content,
    safe_file_name,
    snake_name,
    title_from_content,
    without_thoughts,
)
from sgoped.prompts.passages import never, question_terms
from sgoped.prompts.references import Reference, find_references
from sgoped.prompts.sources import ContextItem, ContextSource, Lines, Origin, Why
from sgoped.prompts.summary import reduce_messages, summary_messages, summary_parts

__all__ = [
    "DEFAULT_NAME",
    "MATERIAL_RULE",
    "ContextItem",
    "ContextSource",
    "FoundCitation",
    "History",
    "Lines",
    "Origin",
    "Prompt",
    "Reference",
    "Turn",
    "Why",
    "Window",
    "assemble",
    "best_passages",
    "estimate_tokens",
    "extract_history",
    "fence_for",
    "fenced",
    "file_name_messages",
    "find_citations",
    "find_references",
    "name_from_answer",
    "name_from_content",
    "never",
    "one_line",
    "question_terms",
    "reduce_messages",
    "room_for_history",
    "safe_file_name",
    "snake_name",
    "split_history",
    "summarise_history",
    "summary_messages",
    "summary_parts",
    "summary_room",
    "title_from_content",
    "turns_tokens",
    "without_thoughts",
]
