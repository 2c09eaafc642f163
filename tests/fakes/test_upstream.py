from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp


async def test_it_runs_in_a_process_of_its_own_and_is_told_what_to_do() -> None:
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.fakes.upstream", "--port", "0"),
        cwd=root,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        async with aiohttp.ClientSession(url) as client:
            told = {"chunks": ["a", "b"], "gate_at": 1, "models": ["m"], "key": ""}
            await (await client.post("/_control", json=told)).read()
            listed = await (await client.get("/v1/models")).json()
            assert [model["id"] for model in listed["data"]] == ["m"]
            async with client.post("/api/chat", json={"model": "m"}) as answer:
                first = await answer.content.readline()
                assert b'"a"' in first
                await (await client.post("/_control/gate")).read()
                assert b'"done": true' in (await answer.content.read())
            facts = await (await client.get("/_control")).json()
            assert [request["path"] for request in facts["requests"]] == ["/v1/models", "/api/chat"]
            assert facts["live_streams"] == 0
            await (await client.delete("/_control")).read()
            assert (await (await client.get("/_control")).json())["requests"] == []
    finally:
        process.terminate()
        await process.wait()
