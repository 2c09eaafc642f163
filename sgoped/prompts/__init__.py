"""What a model is sent: references, context within a budget, names and summaries; all pure."""

from sgoped.prompts.context import (
    ContextItem,
    ContextSource,
    Origin,
    Prompt,
    assemble,
    best_passages,
)
from sgoped.prompts.fences import MATERIAL_RULE, estimate_tokens, fence_for, fenced, one_line
from sgoped.prompts.history import Turn
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
from sgoped.prompts.references import Reference, find_references
from sgoped.prompts.summary import reduce_messages, summary_messages, summary_parts

__all__ = [
    "DEFAULT_NAME",
    "MATERIAL_RULE",
    "ContextItem",
    "ContextSource",
    "Origin",
    "Prompt",
    "Reference",
    "Turn",
    "assemble",
    "best_passages",
    "estimate_tokens",
    "fence_for",
    "fenced",
    "file_name_messages",
    "find_references",
    "name_from_answer",
    "name_from_content",
    "one_line",
    "reduce_messages",
    "safe_file_name",
    "snake_name",
    "summary_messages",
    "summary_parts",
    "title_from_content",
    "without_thoughts",
]
