"""The HTTP face of what answers took, by model."""

from __future__ import annotations

from aiohttp import web

from sgoped.chat import ModelUsage
from sgoped.web.endpoint import endpoint
from sgoped.web.keys import CHAT
from sgoped.web.replies import ModelUsageReply, UsageReply
from sgoped.web.wire import reply


@endpoint("services", returns=UsageReply)
async def show_usage(request: web.Request) -> web.StreamResponse:
    """Tell what the answers of each model took since the start."""
    usage = request.app[CHAT].usage
    answer: UsageReply = {
        "since": usage.since,
        "models": {model: _usage_json(total) for model, total in usage.models().items()},
    }
    return reply(answer)


def _usage_json(total: ModelUsage) -> ModelUsageReply:
    return {
        "runs": total.runs,
        "prompt_tokens": total.prompt_tokens,
        "completion_tokens": total.completion_tokens,
        "first_token_seconds": total.first_token_seconds,
        "tokens_per_second": total.tokens_per_second,
    }
