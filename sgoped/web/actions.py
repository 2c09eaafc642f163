"""The HTTP face of actions."""

from __future__ import annotations

from aiohttp import web

from sgoped.chat import execute_action
from sgoped.web.chat import attachments
from sgoped.web.endpoint import endpoint, read_body
from sgoped.web.keys import CHAT, SAVES, SUGGESTIONS
from sgoped.web.parameters import Text, Whole
from sgoped.web.render import suggestion_json
from sgoped.web.replies import ActionSuggestion
from sgoped.web.schemas import ExecuteAction
from sgoped.web.wire import reply

MAX_LISTED = 1000

Q = Text("q", "What was typed after `/`; matches the beginnings of words of labels and tags.")
LIMIT = Whole("limit", "1000 by default.", minimum=1, maximum=MAX_LISTED)


@endpoint("actions", parameters=(Q, LIMIT), returns=list[ActionSuggestion])
async def list_actions(request: web.Request) -> web.StreamResponse:
    """Suggest actions, or list them all."""
    found = await request.app[SUGGESTIONS].actions(Q.read(request), LIMIT.read(request, MAX_LISTED))
    return reply([suggestion_json(suggestion) for suggestion in found])


@endpoint("actions", body=ExecuteAction, fails=(403, 404, 409, 500, 502, 507), size="chat")
async def run_action(request: web.Request) -> web.StreamResponse:
    """Run an action outside a chat and return its result."""
    body = await read_body(request, ExecuteAction)
    work = execute_action(
        body.action_id,
        body.user_input,
        attachments(body.attachments),
        chat=request.app[CHAT],
        filename=body.knowledge_filename or None,
    )
    return reply(await request.app[SAVES].run(work))
