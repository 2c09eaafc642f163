"""The action ``/word_count``: counts words and lines of typed text, uploads and memory files."""

from __future__ import annotations

from sgoped.actions import ActionRequest, ActionResult, Tools
from sgoped.errors import InvalidInput


class WordCount:
    """Everything that ``sgoped.actions.Action`` asks for; nothing of sgoped is changed."""

    name = "word_count"
    description = "Count the words of text, uploads or files"
    category = "text"
    tags: tuple[str, ...] = ("count", "statistics")

    async def run(self, request: ActionRequest, tools: Tools) -> ActionResult:
        """Count.

        Raises:
            InvalidInput: There is nothing to count.
        """
        texts = {"text": request.text} if request.text.strip() else {}
        texts |= {source.name: source.content for source in request.sources}
        if not texts:
            raise InvalidInput("There is nothing to count: type some text, or attach a file.")
        counts = [
            {"name": name, "words": len(text.split()), "lines": len(text.splitlines())}
            for name, text in texts.items()
        ]
        told = "\n".join(
            f"{count['name']}: {count['words']} words in {count['lines']} lines" for count in counts
        )
        return ActionResult({"counts": counts}, told)
