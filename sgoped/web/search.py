"""The HTTP face of content search and of the index's state, file by file."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

from sgoped.memory import shown
from sgoped.web.endpoint import endpoint
from sgoped.web.keys import MEMORY
from sgoped.web.parameters import MAX_PATH_CHARS, MAX_QUERY_CHARS, Text, Whole
from sgoped.web.render import hit_json
from sgoped.web.replies import IndexReply, SearchReply
from sgoped.web.wire import reply

DEFAULT_HITS = 10
DEFAULT_STATES = 100

Q = Text(
    "q",
    'Words to find in the files; any will do, more are better. `"some words"` must stand in this '
    'order; `-word` and `-"some words"` may stand nowhere in the file; `path:part` and '
    "`ext:py,md` select files, `-path:` and `-ext:` leave them out. Everything else is words. "
    "Exclusions and filters alone find nothing. The first 2,000 characters are read.",
    max_chars=MAX_QUERY_CHARS,
    required=True,
)
LIMIT = Whole("limit", "10 by default.", minimum=1, maximum=100)
PART = Text("path", "Only files whose path contains this, in any case.")
EXT = Text(
    "ext",
    "Only files with this suffix, with or without its dot, or one of several: `py,md`.",
    max_chars=64,
)

STATE = Text(
    "state", "Only files in this state.", choices=("indexed", "pending", "skipped", "failed")
)
STATES_LIMIT = Whole("limit", "100 by default.", minimum=1, maximum=1000)
AFTER = Text("after", "Only paths after this one, to page on.", max_chars=MAX_PATH_CHARS)


@endpoint("search", parameters=(Q, LIMIT, PART, EXT), returns=SearchReply, fails=(400,))
async def search_contents(request: web.Request) -> web.StreamResponse:
    """Search in the files' contents; passages, best first."""
    query = Q.read(request)
    started = time.perf_counter()
    passages = await request.app[MEMORY].search(
        query, LIMIT.read(request, DEFAULT_HITS), path=PART.read(request), ext=EXT.read(request)
    )
    answer: SearchReply = {
        "query": query,
        "took_ms": round((time.perf_counter() - started) * 1000, 3),
        "hits": [hit_json(passage) for passage in passages],
    }
    return reply(answer)


@endpoint("search", parameters=(STATE, PART, STATES_LIMIT, AFTER), returns=IndexReply, fails=(400,))
async def list_index(request: web.Request) -> web.StreamResponse:
    """Tell which files are indexed, pending, skipped or failed, and why."""
    counts, files = await asyncio.to_thread(
        request.app[MEMORY].file_states,
        state=STATE.read(request),
        path=PART.read(request),
        limit=STATES_LIMIT.read(request, DEFAULT_STATES),
        after=AFTER.read(request),
    )
    answer: IndexReply = {
        "counts": {
            "indexed": counts.get("indexed", 0),
            "pending": counts.get("pending", 0),
            "skipped": counts.get("skipped", 0),
            "failed": counts.get("failed", 0),
        },
        "files": [
            {"path": shown(file.path), "state": file.state, "reason": file.reason} for file in files
        ],
    }
    return reply(answer)
