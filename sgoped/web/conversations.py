"""The HTTP face of kept conversations: list, search, read, rename, fork, export, delete."""

from __future__ import annotations

import re

from aiohttp import web

from sgoped.chat import MAX_CONVERSATION_ID_CHARS
from sgoped.state import ConversationRow, MessageRow
from sgoped.web.conversation_replies import (
    ConversationMessagesReply,
    ConversationReply,
    ConversationsReply,
    DeletedConversationReply,
    MessageReply,
)
from sgoped.web.endpoint import endpoint, read_body
from sgoped.web.files import saved_reply
from sgoped.web.keys import CHAT, SAVES
from sgoped.web.parameters import MAX_QUERY_CHARS, Text, Whole
from sgoped.web.replies import SavedReply
from sgoped.web.schemas import ExportConversation, ForkConversation, RenameConversation
from sgoped.web.wire import InvalidShape, reply

DEFAULT_LISTED = 50
DEFAULT_MESSAGES = 200

_CURSOR = re.compile(r"([0-9]{1,11}(?:\.[0-9]{1,12})?)~([A-Za-z0-9._-]{1,100})")

CONVERSATION_ID = Text(
    "conversation_id",
    "As the list tells it, or as a chat request chose it.",
    where="path",
    max_chars=MAX_CONVERSATION_ID_CHARS,
    required=True,
)
Q = Text(
    "q",
    "Only those whose title or messages hold each of these words, or parts of words.",
    max_chars=MAX_QUERY_CHARS,
)
LIMIT = Whole("limit", f"{DEFAULT_LISTED} by default.", minimum=1, maximum=1000)
AFTER = Text(
    "after",
    "To page on: the `next` of the page before.",
    max_chars=200,
    pattern=f"^(?:{_CURSOR.pattern})?$",
)
MESSAGES_LIMIT = Whole("limit", f"{DEFAULT_MESSAGES} by default.", minimum=1, maximum=1000)
AFTER_NUMBER = Whole("after", "Only messages with a greater number.", maximum=10**9)


@endpoint("conversations", parameters=(Q, LIMIT, AFTER), returns=ConversationsReply, fails=(500,))
async def list_conversations(request: web.Request) -> web.StreamResponse:
    """List kept conversations, what changed last first; or search in them."""
    limit = LIMIT.read(request, DEFAULT_LISTED)
    after = _parse_cursor(AFTER.read(request))
    rows, total = await request.app[CHAT].conversations.find(Q.read(request), limit + 1, after)
    answer: ConversationsReply = {
        "conversations": [_conversation(row) for row in rows[:limit]],
        "total": total,
        "next": _cursor(rows[limit - 1]) if len(rows) > limit else None,
    }
    return reply(answer)


@endpoint(
    "conversations",
    parameters=(CONVERSATION_ID, MESSAGES_LIMIT, AFTER_NUMBER),
    returns=ConversationMessagesReply,
    fails=(404, 500),
)
async def show_conversation(request: web.Request) -> web.StreamResponse:
    """Show a conversation and its messages, oldest first."""
    conversation_id = CONVERSATION_ID.read(request)
    limit = MESSAGES_LIMIT.read(request, DEFAULT_MESSAGES)
    after = AFTER_NUMBER.read(request, 0)
    conversations = request.app[CHAT].conversations
    row, messages = await conversations.get(conversation_id, after, limit + 1)
    answer: ConversationMessagesReply = {
        **_conversation(row),
        "messages": [_message(message) for message in messages[:limit]],
        "next": messages[limit - 1].number if len(messages) > limit else None,
    }
    return reply(answer)


@endpoint(
    "conversations",
    parameters=(CONVERSATION_ID,),
    body=RenameConversation,
    returns=ConversationReply,
    fails=(404, 500, 507),
)
async def rename_conversation(request: web.Request) -> web.StreamResponse:
    """Give a conversation another title."""
    conversation_id = CONVERSATION_ID.read(request)
    body = await read_body(request, RenameConversation)
    work = request.app[CHAT].conversations.rename(conversation_id, body.title)
    return reply(_conversation(await request.app[SAVES].run(work)))


@endpoint(
    "conversations",
    parameters=(CONVERSATION_ID,),
    returns=DeletedConversationReply,
    fails=(404, 415, 500, 507),
)
async def delete_conversation(request: web.Request) -> web.StreamResponse:
    """Delete a conversation for good, from the backups of `state.db` too.

    An answer that is being made in it is ended. What it was exported to, and conversations that were
    forked from it, stay.
    """
    conversation_id = CONVERSATION_ID.read(request)
    await request.app[SAVES].run(request.app[CHAT].delete_conversation(conversation_id))
    answer: DeletedConversationReply = {"success": True, "id": conversation_id}
    return reply(answer)


@endpoint(
    "conversations",
    parameters=(CONVERSATION_ID,),
    body=ForkConversation,
    returns=ConversationReply,
    fails=(404, 409, 500, 507),
)
async def fork_conversation(request: web.Request) -> web.StreamResponse:
    """Begin another conversation with what was said up to a message, and with it."""
    conversation_id = CONVERSATION_ID.read(request)
    body = await read_body(request, ForkConversation)
    work = request.app[CHAT].conversations.fork(conversation_id, body.at)
    return reply(_conversation(await request.app[SAVES].run(work)))


@endpoint(
    "conversations",
    parameters=(CONVERSATION_ID,),
    body=ExportConversation,
    returns=SavedReply,
    fails=(404, 409, 500, 507),
)
async def export_conversation(request: web.Request) -> web.StreamResponse:
    """Write a conversation into memory as a new Markdown file; nothing is ever overwritten."""
    conversation_id = CONVERSATION_ID.read(request)
    body = await read_body(request, ExportConversation)
    work = request.app[CHAT].conversations.export(conversation_id, body.path or "")
    return saved_reply(await request.app[SAVES].run(work))


def _conversation(row: ConversationRow) -> ConversationReply:
    return {
        "id": row.id,
        "title": row.title,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "forked_from": row.forked_from or None,
        "forked_at": row.forked_at or None,
        "message_count": row.messages,
    }


def _message(row: MessageRow) -> MessageReply:
    return {
        "number": row.number,
        "role": row.role,
        "text": row.text,
        "at": row.at,
        "state": row.state,
        "paths": list(row.paths),
        "uploads": list(row.uploads),
        "model": row.model,
        "run_id": row.run_id,
    }


def _cursor(row: ConversationRow) -> str:
    return f"{row.updated_at!r}~{row.id}"


def _parse_cursor(text: str) -> tuple[float, str] | None:
    """Where a page begins.

    Raises:
        InvalidShape: It is no ``next`` of a page.
    """
    if not text:
        return None
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise InvalidShape("after: not the `next` of a page", code="invalid_parameter")
    return float(found[1]), found[2]
