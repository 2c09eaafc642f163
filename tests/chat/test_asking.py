"""What a model is sent, what is told of it, and the places that its answer names."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from sgoped.chat import (
    Attachment,
    Cancelled,
    ChatRequest,
    Citations,
    Completed,
    Content,
    ContextTold,
    Failed,
    RunEvent,
    Started,
    UsageTold,
)
from tests.chat.world import World, cited_in, events_of, open_world, said_in, told_in, until
from tests.fakes.scripts import Script
from tests.prompts.accounting import assert_told_exactly

KINDS = ["ollama", "openai"]
OPENAI = (
    "This model's maximum context length is {limit} tokens. However, your messages resulted in "
    "{used} tokens. Please reduce the length of the messages."
)
VLLM = (
    "This model's maximum context length is {limit} tokens. However, you requested {used} tokens "
    "({used} in the messages, 0 in the completion)."
)
LLAMA_CPP = (
    "the request exceeds the available context size. n_prompt_tokens: {used}, n_ctx: {limit}"
)


def order(events: list[RunEvent]) -> list[type]:
    """The kinds of events, pieces of the answer as one."""
    kinds = [type(event) for event in events]
    return [
        kind for at, kind in enumerate(kinds) if kind is not Content or kinds[at - 1] is not Content
    ]


# -- told before the first token


async def test_a_message_alone_is_told_too(served: World) -> None:
    events = await served.ask("Hi there")
    assert order(events) == [Started, ContextTold, Content, UsageTold, Completed]
    told = told_in(events)
    assert (told.items, told.missing, told.notes) == ((), (), ())
    assert told.window_tokens == 8192
    assert 0 < told.tokens < 30


async def test_everything_is_told_in_order(served: World) -> None:
    await served.write({"a.md": "one\ntwo\n"})
    served.upstream.behave(Script(chunks=("two [a.md:2]",)))
    events = await served.ask("what is in @a.md?")
    assert order(events) == [Started, ContextTold, Content, Citations, UsageTold, Completed]


async def test_why_each_file_goes_along_is_one_word(served: World) -> None:
    await served.write({"a.md": "1", "b.md": "2"})
    events = await served.ask(
        "see @a.md", attachments=(Attachment("b.md"), Attachment("up.txt", "3"))
    )
    assert [(item.name, item.why, item.chosen) for item in told_in(events).items] == [
        ("b.md", "attached", "whole: it fits"),
        ("up.txt", "attached", "whole: it fits"),
        ("a.md", "referenced", "whole: it fits"),
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
async def test_the_model_really_gets_exactly_what_is_told(home: Path, kind: str, seed: int) -> None:
    draw = random.Random(seed)
    words = ["walrus", "pump", "字字", "```", "# Heading", "12| x", "def main():", "x" * 3000, ""]
    async with open_world(home, context_tokens=draw.choice([1024, 2500, 9000])) as world:
        await world.serve(kind)
        files = {
            f"d/{number}.md": "\n".join(
                f"{draw.choice(words)} {number} {line}" for line in range(draw.choice([3, 90, 900]))
            )
            for number in range(5)
        }
        await world.write(files)
        question = f"Where does the {draw.choice(words[:3])} sleep? " + " ".join(
            f"@{path}" for path in draw.sample(list(files), 3)
        )
        upload = Attachment("up.txt", "\n".join(draw.choices(words, k=40)))
        events = await world.ask(question, attachments=(upload,))
        told = told_in(events)
        contents = {**files, "up.txt": upload.content or ""}
        assert len(told.items) == 4
        assert_told_exactly(world.prompt(), question, told.items, contents)
        assert told.tokens <= told.window_tokens == world.settings.context_tokens
        assert len(world.sent().encode()) / 3 <= told.tokens


# -- the window


async def test_the_window_that_was_set_for_a_model_counts(home: Path) -> None:
    windows = {"s/beta": 2000, "o": 3000}
    async with open_world(home, model_windows=windows) as world:
        await world.serve("openai")
        await world.serve("ollama", "o", models=["beta", "alpha:latest"])
        for model, window in (("s/beta", 2000), ("o/beta", 3000), ("o/alpha:latest", 3000)):
            told = told_in(await world.ask("hi", model=model))
            assert told.window_tokens == window
        options = world.upstream.chats[-1].body["options"]
        assert options == {"num_ctx": 3000}
        assert world.upstream.chats[-1].body["truncate"] is False


@pytest.mark.parametrize("kind", KINDS)
async def test_the_window_that_the_service_tells_counts(world: World, kind: str) -> None:
    world.upstream.windows["beta"] = 3333
    await world.serve(kind)
    assert told_in(await world.ask("hi")).window_tokens == 3333


@pytest.mark.parametrize("words", [OPENAI, VLLM, LLAMA_CPP])
async def test_a_refusal_teaches_the_window_and_is_asked_again_once(
    world: World, words: str
) -> None:
    await world.serve("openai")
    await world.write({"big.md": "filler line\n" * 5000})
    script = Script(tokens_per_byte=1 / 3, takes_tokens=2000, error_body=words)
    world.upstream.behave(script)
    events = await world.ask("what is in @big.md?")
    assert isinstance(events[-1], Completed)
    first, second = [event for event in events if isinstance(event, ContextTold)]
    assert (first.window_tokens, second.window_tokens) == (8192, 2000)
    assert "takes 2000" in second.notes[0]
    assert second.tokens < 2000
    assert_told_exactly(
        world.prompt(), "what is in @big.md?", second.items, {"big.md": "filler line\n" * 5000}
    )
    events = await world.ask("what is in @big.md?")
    assert [e.window_tokens for e in events if isinstance(e, ContextTold)] == [2000]
    assert len(world.upstream.chats) == 3


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refusal_without_a_number_is_tried_with_half_of_it(world: World, kind: str) -> None:
    await world.serve(kind)
    await world.write({"big.md": "filler line\n" * 5000})
    words = "the input length exceeds the context length"
    world.upstream.behave(Script(tokens_per_byte=1 / 3, takes_tokens=4000, error_body=words))
    events = await world.ask("what is in @big.md?")
    assert isinstance(events[-1], Completed)
    assert "half of that" in told_in(events).notes[0]
    events = await world.ask("hi")
    assert told_in(events).window_tokens == 8192


async def test_what_is_refused_twice_fails(world: World) -> None:
    await world.serve("openai")
    world.upstream.behave(Script(fault="400", error_body=OPENAI.replace("{limit}", "3000")))
    events = await world.ask("word " * 9000)
    assert isinstance(events[-1], Failed)
    assert "longer than the model can take" in events[-1].message
    assert len(world.upstream.chats) == 2


async def test_a_model_that_has_begun_is_not_asked_again(served: World) -> None:
    error = OPENAI.replace("{limit}", "3000").replace("{used}", "9000")
    served.upstream.behave(Script(fault="error", fault_at=1, error_body=error, together=True))
    events = await served.ask("hi")
    assert said_in(events) == "Hello"
    assert isinstance(events[-1], Failed)
    assert len(served.upstream.chats) == 1


# -- how a model counts


async def test_a_model_that_counts_twice_is_sent_what_fits_by_its_count(served: World) -> None:
    await served.write({"big.md": "filler line, and more of it\n" * 5000})
    served.upstream.behave(Script(tokens_per_byte=2 / 3))
    events = await served.ask("what is in @big.md?")
    usage = [event for event in events if isinstance(event, UsageTold)][-1]
    assert usage.prompt_tokens is not None
    assert usage.prompt_tokens > 8192 > usage.estimated_prompt_tokens
    events = await served.ask("what is in @big.md?")
    usage = [event for event in events if isinstance(event, UsageTold)][-1]
    assert usage.prompt_tokens is not None
    assert 4000 < usage.prompt_tokens <= 8192 - 2048
    assert told_in(events).tokens == usage.estimated_prompt_tokens
    assert abs(usage.estimated_prompt_tokens - usage.prompt_tokens) < 200


# -- what memory finds by itself


async def test_memory_is_looked_through_only_when_asked_for(served: World) -> None:
    text = "".join(f"line {number}\n" for number in range(1, 60))
    await served.write({"zoo.md": f"{text}the walrus sleeps at noon\n{text}", "x.md": "nothing"})
    question = "When does the walrus sleep?"
    assert told_in(await served.ask(question)).items == ()
    assert told_in(await served.ask(question, context="given")).items == ()
    (item,) = told_in(await served.ask(question, context="auto")).items
    assert (item.path, item.why) == ("zoo.md", "retrieved")
    ((first, last),) = item.lines
    assert first < 60 < last < 80
    assert "60| the walrus sleeps at noon" in served.prompt()
    assert "x.md" not in served.prompt()


async def test_the_setting_looks_through_memory_unless_told_otherwise(home: Path) -> None:
    async with open_world(home, context="auto") as world:
        await world.serve()
        await world.write({"zoo.md": "the walrus sleeps at noon\n"})
        question = "When does the walrus sleep?"
        assert [item.why for item in told_in(await world.ask(question)).items] == ["retrieved"]
        assert told_in(await world.ask(question, context="given")).items == ()
        events = await world.ask("When does the walrus sleep, says @zoo.md?")
        assert [item.why for item in told_in(events).items] == ["referenced"]


async def test_hidden_and_ignored_files_are_never_retrieved(served: World) -> None:
    walrus = "the walrus sleeps at noon\n"
    await served.write(
        {
            ".gitignore": "secret/\n",
            "secret/zoo.md": walrus,
            ".hidden.md": walrus,
            ".git/zoo.md": walrus,
            ".env": walrus,
        }
    )
    events = await served.ask("When does the walrus sleep?", context="auto")
    assert told_in(events).items == ()
    assert "noon" not in served.sent()


async def test_a_passage_with_one_word_of_many_does_not_convince(served: World) -> None:
    await served.write({"zoo.md": "the walrus\n"})
    events = await served.ask("How do I prune an apple walrus in spring?", context="auto")
    assert told_in(events).items == ()


# -- citations


async def test_places_in_an_answer_are_checked_against_what_was_sent(served: World) -> None:
    await served.write({"notes/a.md": "one\ntwo\nthree\n"})
    served.upstream.behave(
        Script(chunks=("It is two [notes", "/a.md:2], or [a.md:7", "] or [b.md:1]."))
    )
    events = await served.ask("what is in @a.md?")
    assert [
        (found.text, found.path, found.resolved, found.reason) for found in cited_in(events)
    ] == [
        ("[notes/a.md:2]", "notes/a.md", True, ""),
        ("[a.md:7]", "notes/a.md", False, "the file has only 3 lines"),
        ("[b.md:1]", "", False, "no such file was sent"),
    ]


async def test_thoughts_name_no_places(served: World) -> None:
    await served.write({"a.md": "one\n"})
    served.upstream.behave(Script(reasoning=("perhaps [a.md:1]",), chunks=("Yes.",)))
    assert cited_in(await served.ask("@a.md?")) == ()


async def test_places_of_an_answer_that_broke_off_are_told(served: World) -> None:
    await served.write({"a.md": "one\n"})
    served.upstream.behave(
        Script(chunks=("So [a.md:1]", " and"), fault="error", fault_at=1, together=True)
    )
    events = await served.ask("@a.md?")
    assert isinstance(events[-1], Failed)
    assert [found.resolved for found in cited_in(events)] == [True]


async def test_places_of_an_answer_that_was_stopped_are_told(served: World) -> None:
    await served.write({"a.md": "one\n"})
    served.upstream.behave(Script(chunks=("So [a.md:1]", " and"), gate_at=1))
    run = served.chat.start(ChatRequest("@a.md?", stream_id="x"))
    await until(run, "[a.md:1]")
    served.chat.stop("x")
    events = await events_of(run)
    assert isinstance(events[-1], Cancelled)
    assert [found.resolved for found in cited_in(events)] == [True]


async def test_without_a_model_places_have_the_same_form(world: World) -> None:
    await world.write({"zoo.md": "intro\n\n\nthe walrus sleeps at noon\n"})
    events = await world.ask("When does the walrus sleep?")
    (found,) = cited_in(events)
    assert (found.path, found.resolved) == ("zoo.md", True)
    assert f"[zoo.md:{found.line_start}-{found.line_end}]" == found.text
    assert found.text in said_in(events)
    told = told_in(events)
    assert (told.items, told.tokens) == ((), 0)
    assert "No model" in told.notes[0]
    assert order(events) == [Started, ContextTold, Content, Citations, Completed]


async def test_without_a_model_parts_of_long_lines_are_told_as_such(world: World) -> None:
    await world.write({"zoo.md": "the walrus sleeps " + "and sleeps " * 200, "a.md": "a walrus\n"})
    upload = Attachment("up.txt", "walrus\n" + "walrus and more " * 300)
    said = said_in(await world.ask("walrus", attachments=(upload,)))
    assert "[zoo.md:1] (parts of long lines)" in said
    assert "[a.md:1]\n" in said
    assert "[up.txt:2] (parts of long lines)" in said
