"""Runs actions: in a chat, with a confirmation for the person, and outside of one."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

from sgoped.actions import Action, ActionRequest, ActionResult, Source
from sgoped.chat.answering import Desk, choose_model
from sgoped.chat.context import Attachment, gather_context
from sgoped.chat.events import ActionCompleted, Completed, ContextTold, End
from sgoped.chat.relay import Relay
from sgoped.chat.run import Run
from sgoped.chat.tools import Toolbelt
from sgoped.errors import NotFound, ServiceError, SgopedError
from sgoped.llm import Message, ModelChoice
from sgoped.prompts import estimate_tokens
from sgoped.unexpected import log_unexpected

CONFIRMATION_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Order:
    """An action that a person asked for.

    Attributes:
        action: Which.
        text: What they typed, without the leading command.
        attachments: What they sent along.
        filename: The name they gave for what is made.
        model: The model they chose; empty means the default.
    """

    action: Action
    text: str
    attachments: tuple[Attachment, ...] = ()
    filename: str | None = None
    model: str = ""


async def act(run: Run, desk: Desk, order: Order, tasks: asyncio.TaskGroup) -> End:
    """Do an action into ``run`` and confirm it; returns the end.

    Raises:
        SgopedError: The action could not be done.
    """
    choice = _model_if_any(desk, order.model)
    tools = _toolbelt(desk, order, choice, tasks)
    try:
        result = await perform(desk, order, tools, run)
    finally:
        if tools.saved:
            run.keep_in_mind(f"Kept: {', '.join(tools.saved)}.")
    run.add(ActionCompleted(order.action.name, result.data, time.time()))
    relay = Relay(run)
    try:
        await _confirm(run, relay, choice, result)
    finally:
        relay.tell_usage(choice.id if choice else "", desk.usage)
    return Completed(time.time())


async def perform(
    desk: Desk, order: Order, tools: Toolbelt, run: Run | None = None
) -> ActionResult:
    """Gather what an action is given, and do it.

    Raises:
        SgopedError: It could not be done; foreign exceptions become ``action_failed``.
    """
    gathered = await gather_context(desk.memory, order.text, order.attachments)
    if run is not None and (gathered.missing or gathered.notes):
        told = ContextTold((), gathered.missing, gathered.notes, 0, 0, time.time())
        run.add(told)
    sources = tuple(Source(item.name, item.content, item.origin) for item in gathered.sources)
    request = ActionRequest(order.text, sources, order.filename, gathered.missing)
    try:
        result = await order.action.run(request, tools)
        json.dumps(result.data)
    except SgopedError:
        raise
    except Exception as error:
        log_unexpected(f"the action {order.action.name}", error)
        message = f"The action /{order.action.name} failed; the log says where"
        raise SgopedError(message, code="action_failed") from error
    return result


async def execute(desk: Desk, order: Order, tasks: asyncio.TaskGroup) -> dict[str, Any]:
    """Do an action outside a chat; returns its data, with ``action`` and a ``message``.

    Raises:
        SgopedError: It could not be done.
    """
    tools = _toolbelt(desk, order, _model_if_any(desk, order.model), tasks)
    result = await perform(desk, order, tools)
    return {"action": order.action.name, "message": result.text, **result.data}


def _toolbelt(
    desk: Desk, order: Order, choice: ModelChoice | None, tasks: asyncio.TaskGroup
) -> Toolbelt:
    model = order.model or desk.registry.default_model() or ""
    return Toolbelt(desk.memory, desk.settings, choice, tasks, later=desk.later, model=model)


def _model_if_any(desk: Desk, name: str) -> ModelChoice | None:
    """Actions are done without a model where the chosen one is gone: nothing is lost for it."""
    try:
        return choose_model(desk.registry, name)
    except NotFound:
        return None


async def _confirm(
    run: Run, relay: Relay, choice: ModelChoice | None, result: ActionResult
) -> None:
    """Say that it is done, in the model's words, or plainly where it has none."""
    if result.prompt and choice is not None:
        relay.estimated_tokens = estimate_tokens(result.prompt)
        try:
            async with asyncio.timeout(CONFIRMATION_SECONDS):
                await relay.play(choice.stream([Message("user", result.prompt)]))
        except (ServiceError, TimeoutError):
            run.say("\n\n" if relay.said else "")
            relay.said = False
    if not relay.said:
        run.say(result.text or "Done.")
