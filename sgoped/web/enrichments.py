"""The HTTP face of what waits for a model: summaries of files that were saved without one."""

from __future__ import annotations

from aiohttp import web

from sgoped.memory import shown
from sgoped.state import Enrichment
from sgoped.web.endpoint import endpoint
from sgoped.web.keys import ENRICHER, SAVES
from sgoped.web.parameters import Text
from sgoped.web.replies import EnrichmentReply, SuccessReply
from sgoped.web.wire import reply

MAX_ENRICHMENT_ID_CHARS = 64
ENRICHMENT_ID = Text(
    "enrichment_id", "Its id.", where="path", max_chars=MAX_ENRICHMENT_ID_CHARS, required=True
)


@endpoint("enrichments", returns=list[EnrichmentReply])
async def list_enrichments(request: web.Request) -> web.StreamResponse:
    """List what waits for a model and what has ended lately, oldest first."""
    return reply([_json(row) for row in request.app[ENRICHER].all()])


@endpoint("enrichments", parameters=(ENRICHMENT_ID,), returns=SuccessReply, fails=(404, 500, 507))
async def cancel_enrichment(request: web.Request) -> web.StreamResponse:
    """Give a summary up, or forget how it ended; the file stays as it is."""
    cancel = request.app[ENRICHER].cancel(ENRICHMENT_ID.read(request))
    await request.app[SAVES].run(cancel)
    answer: SuccessReply = {"success": True, "message": "the summary is given up"}
    return reply(answer)


@endpoint(
    "enrichments", parameters=(ENRICHMENT_ID,), returns=EnrichmentReply, fails=(404, 409, 500, 507)
)
async def retry_enrichment(request: web.Request) -> web.StreamResponse:
    """Try a summary again as soon as a model answers, however often it failed.

    If the model that was meant is gone, or has moved, the text goes to where it is now, or to the
    present default model.
    """
    retry = request.app[ENRICHER].retry(ENRICHMENT_ID.read(request))
    return reply(_json(await request.app[SAVES].run(retry)))


def _json(row: Enrichment) -> EnrichmentReply:
    return {
        "id": row.id,
        "path": shown(row.path),
        "state": row.state,
        "why": row.why,
        "model": row.model,
        "attempts": row.attempts,
        "created_at": row.created_at,
        "next_try_at": row.next_try_at,
    }
