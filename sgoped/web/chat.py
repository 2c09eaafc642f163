"""The HTTP face of chat: a run as a stream of events, stopping one, listing those that live."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from sgoped.chat import Attachment, ChatRequest, name_file, new_run_id
from sgoped.web.chat_replies import (
    ChatStatusReply,
    StopReply,
    StreamEventReply,
)
from sgoped.web.endpoint import EVENT_STREAM, endpoint, read_body
from sgoped.web.following import open_stream, send_run
from sgoped.web.keys import CHAT, REGISTRY
from sgoped.web.replies import FilenameReply
from sgoped.web.schemas import AttachmentBody, ChatBody, Previews, StopChat
from sgoped.web.sse import ClientLost
from sgoped.web.wire import reply


@endpoint(
    "chat",
    body=ChatBody,
    returns=StreamEventReply,
    media_type=EVENT_STREAM,
    fails=(503,),
    size="chat",
)
async def stream_chat(request: web.Request) -> web.StreamResponse:
    """Answer a message as a stream of events.

    The headers come at once, before any model is asked; then `start` and `content`, or
    `action_start`, `action_complete` and `content`; last exactly one of `complete`, `cancelled`
    and `error`. The header `X-Run-Id` names the run, each event has an `id:`, and
    `/api/runs/{id}/events` goes on from there. Closing the connection ends the answer when nobody
    follows it within `run_grace_seconds`, unless it is `durable`.
    """
    body = await read_body(request, ChatBody)
    run_id = new_run_id()
    stream = open_stream(request, run_id)
    try:
        await stream.open()
        run = request.app[CHAT].start(chat_request(body), run_id)
        await send_run(request, stream, run, typed=body.events == "typed")
        await stream.close()
    except ClientLost:
        pass
    return stream.response


def chat_request(body: ChatBody) -> ChatRequest:
    """The wire's body as the use case takes it."""
    return ChatRequest(
        message=body.message,
        attachments=attachments(body.attachments),
        model=body.model or "",
        stream_id=body.stream_id or "",
        selected_action=body.selected_action or None,
        knowledge_filename=body.knowledge_filename or None,
        conversation_id=body.conversation_id or "",
        durable=body.durable,
        keep=body.keep,
        context=body.context,
    )


def attachments(bodies: Sequence[AttachmentBody]) -> tuple[Attachment, ...]:
    """Uploads and references as the use cases take them."""
    return tuple(
        Attachment(body.name, body.content, None if body.size is None else int(body.size))
        for body in bodies
    )


@endpoint("chat", body=StopChat, returns=StopReply)
async def stop_chat(request: web.Request) -> web.StreamResponse:
    """End a stream, also before its model has said anything; always 200.

    `stream_id` may also be the id of a run.
    """
    body = await read_body(request, StopChat)
    stopped = request.app[CHAT].stop(body.stream_id)
    answer: StopReply = {
        "success": True,
        "stopped": stopped,
        "message": "the stream is ended" if stopped else "no such stream is live",
    }
    return reply(answer)


@endpoint("chat", returns=ChatStatusReply)
async def chat_status(request: web.Request) -> web.StreamResponse:
    """List the answers that are being made."""
    live = request.app[CHAT].live()
    answer: ChatStatusReply = {
        "active_streams": len(live),
        "streams": [
            {
                "run_id": run.id,
                "stream_id": run.stream_id,
                "model": run.model,
                "action": run.action,
                "started_at": run.started_at,
            }
            for run in live
        ],
    }
    return reply(answer)


@endpoint("chat", body=Previews, returns=FilenameReply, size="chat")
async def generate_filename(request: web.Request) -> web.StreamResponse:
    """Name a file after what it will hold: by a model, or from the content itself."""
    body = await read_body(request, Previews)
    filename = await name_file(body.previews, request.app[REGISTRY])
    answer: FilenameReply = {"ok": True, "filename": filename}
    return reply(answer)
