"""A service that embeds, in Ollama's dialect and OpenAI's, and gives the same vectors every time.

Its model ``latent`` knows the texts of a folder, by latent semantic analysis; ``noise`` knows
nothing, and draws a vector for each text by lot.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path

from aiohttp import web  # noqa: TID251 - a server of its own

from scripts.benchmarks.latent import Latent, noise, read_texts
from scripts.benchmarks.upstream import serve

NOISE_DIMENSIONS = 768
MODELS = ("latent", "noise")

Embed = Callable[[str], list[float]]
EMBED = web.AppKey("embed", dict[str, Embed])


async def tags(request: web.Request) -> web.StreamResponse:
    """Ollama's list."""
    details = {"family": "nomic-bert"}
    return web.json_response({"models": [{"name": name, "details": details} for name in MODELS]})


async def models(request: web.Request) -> web.StreamResponse:
    """OpenAI's list."""
    return web.json_response({"object": "list", "data": [{"id": name} for name in MODELS]})


async def vectors(request: web.Request) -> list[list[float]]:
    """What was asked for, in either dialect."""
    asked = await request.json()
    embed = request.app[EMBED][asked["model"].removesuffix(":latest")]
    return [embed(text) for text in asked["input"]]


async def embed_ollama(request: web.Request) -> web.StreamResponse:
    """Ollama's answer."""
    return web.json_response({"embeddings": await vectors(request)})


async def embed_openai(request: web.Request) -> web.StreamResponse:
    """OpenAI's answer, which may come in any order."""
    found = list(enumerate(await vectors(request)))
    data = [{"index": index, "embedding": vector} for index, vector in reversed(found)]
    return web.json_response({"object": "list", "data": data})


def application(folder: Path) -> web.Application:
    """The routes of both dialects over models of that folder's texts."""
    latent = Latent(read_texts(folder))
    app = web.Application()
    app[EMBED] = {"latent": latent.vector, "noise": lambda text: noise(text, NOISE_DIMENSIONS)}
    app.router.add_get("/api/tags", tags)
    app.router.add_get("/v1/models", models)
    app.router.add_post("/api/embed", embed_ollama)
    app.router.add_post("/v1/embeddings", embed_openai)
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    with asyncio.Runner() as loop:
        loop.run(serve(application(parser.parse_args().folder)))
