"""Answers a message: context, prompt, model; from memory alone where there is no model."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace

from sgoped.chat.asking import ask
from sgoped.chat.compaction import Summaries
from sgoped.chat.context import Attachment, Gathered, gather_context
from sgoped.chat.enriching import Enricher
from sgoped.chat.events import Citations, Completed, ContextTold, End, Failed
from sgoped.chat.failover import may_fail_over, other_model_told, stand_ins
from sgoped.chat.recall import Recall
from sgoped.chat.relay import Relay
from sgoped.chat.retrieving import retrieve
from sgoped.chat.run import Run
from sgoped.chat.usage import UsageTotals
from sgoped.config import Settings
from sgoped.errors import NotFound, ServiceError
from sgoped.llm import ModelChoice, Registry
from sgoped.memory import Memory
from sgoped.prompts import Turn

_CANNOT_CONNECT = frozenset({"service_unreachable", "service_resting"})


@dataclass(frozen=True, slots=True)
class Desk:
    """What answers and actions are made with, what they took, and what is left for later."""

    memory: Memory
    registry: Registry
    settings: Settings
    summaries: Summaries = field(default_factory=Summaries)
    later: Enricher | None = None
    usage: UsageTotals = field(default_factory=UsageTotals)


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be answered.

    Attributes:
        message: What the person typed.
        attachments: Uploads and memory files sent along.
        model: A model's id or unambiguous name; empty means the default.
        history: What was said before in the same conversation, oldest first.
        retrieve: Whether memory is looked through for what bears on the message.
    """

    message: str
    attachments: tuple[Attachment, ...] = ()
    model: str = ""
    history: tuple[Turn, ...] = ()
    retrieve: bool = False


def choose_model(registry: Registry, name: str) -> ModelChoice | None:
    """The model of that name, the default without one, ``None`` when none is usable.

    Raises:
        NotFound: The model is named and there is no such one.
    """
    try:
        return registry.find_model(name)
    except NotFound as error:
        if error.code != "model_not_found":
            raise
        raise NotFound(f"Model '{name}' not available", code=error.code) from None


async def answer(run: Run, desk: Desk, question: Question) -> End:
    """Answer one message into ``run``; returns the end.

    Where no service can be reached, and no other model is usable, memory answers alone. A model
    of another service is never asked instead, unless the person listed it in ``fallback_models``:
    they did not choose it to see their files. Even then only before the first word.

    Raises:
        NotFound: The model is named and there is no such one.
        ServiceError: The model failed.
        InvalidInput: The attachments are too many.
    """
    choice = choose_model(desk.registry, question.model)
    if choice is None:
        await desk.registry.look_again()
        choice = choose_model(desk.registry, question.model)
    message = question.message
    gathered = await gather_question(desk.memory, question)
    others = stand_ins(desk.registry, desk.settings, choice)
    if choice is None:
        choice = next(others, None)
        if choice is None:
            return await _from_memory(run, desk, message, gathered)
        run.add(other_model_told(desk.registry.default_model() or "", "", choice))
    while True:
        relay, failure = await _try(run, desk, choice, question, gathered)
        if failure is None:
            return _end(relay)
        other = next(others, None) if may_fail_over(failure) else None
        if other is None:
            break
        run.add(other_model_told(choice.id, failure.message, other))
        choice = other
    if failure.code in _CANNOT_CONNECT and not _others(desk.registry, choice):
        return await _from_memory(run, desk, message, gathered, failure.message)
    relay.tell_usage(choice.id, desk.usage)
    raise failure


async def _try(
    run: Run, desk: Desk, choice: ModelChoice, question: Question, gathered: Gathered
) -> tuple[Relay, ServiceError | None]:
    """Ask a model; returns why it failed where it did so before its first word.

    Raises:
        ServiceError: It failed later.
    """
    relay = Relay(run)
    try:
        await choice.ready()
        await ask(run, relay, choice=choice, desk=desk, question=question, gathered=gathered)
    except ServiceError as error:
        if not relay.began:
            return relay, error
        relay.tell_usage(choice.id, desk.usage)
        raise
    except asyncio.CancelledError:
        relay.tell_usage(choice.id, desk.usage)
        raise
    relay.tell_usage(choice.id, desk.usage)
    return relay, None


async def _from_memory(
    run: Run, desk: Desk, message: str, gathered: Gathered, reason: str = ""
) -> End:
    missing = (*gathered.missing, *gathered.unknown)
    notes = ("No model answers: nothing is sent.", *gathered.notes)
    run.add(ContextTold((), missing, notes, 0, 0, time.time()))
    recall = Recall(desk.memory, message, gathered, reason)
    try:
        async for text in recall.answer():
            run.say(text)
            await run.room()
    finally:
        if recall.citations:
            run.add(Citations(tuple(recall.citations), time.time()))
    return Completed(time.time(), "no_model")


async def gather_question(memory: Memory, question: Question) -> Gathered:
    """Read all that may go along with a question: its own files, earlier ones, found ones.

    Raises:
        InvalidInput: The attachments are too many.
    """
    earlier = [path for turn in reversed(question.history) for path in turn.paths]
    gathered = await gather_context(memory, question.message, question.attachments, earlier=earlier)
    if question.retrieve:
        known = {source.path for source in gathered.sources}
        found = await retrieve(memory, question.message, known)
        gathered = replace(gathered, sources=(*gathered.sources, *found))
    return gathered


def _others(registry: Registry, choice: ModelChoice) -> bool:
    return any(
        model.available and model.service_id != choice.service_id for model in registry.models()
    )


def _end(relay: Relay) -> End:
    if not relay.said:
        return Failed("The model finished without writing an answer", time.time())
    return Completed(time.time(), relay.finished.reason if relay.finished else "stop")
