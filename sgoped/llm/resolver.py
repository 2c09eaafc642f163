"""Looking up the names of services: off the loop, apart from all other work, and guarded."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from sgoped.llm.address import is_refused

_Found = list[tuple[Any, ...]]


class GuardedResolver(AbstractResolver):
    """Resolves each name in a daemon thread and leaves out every address that ``is_refused``.

    A look-up that hangs, as they do on a network that is half there, must neither take a thread
    from the loop's small pool, where files are read, nor hold up the end of the process. aiohttp
    asks for each name once at a time, so there are never more threads than services.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Look ``host`` up.

        Raises:
            OSError: It does not resolve, or only to refused addresses.
        """
        found = await _look_up(host, port, family)
        results = [
            ResolveResult(
                hostname=host,
                host=address[0],
                port=address[1],
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
            if not is_refused(address[0])
        ]
        if not results:
            raise OSError(None, "only refused addresses")
        return results

    async def close(self) -> None:
        """Nothing to release: a look-up under way ends on its own."""


async def _look_up(host: str, port: int, family: socket.AddressFamily) -> _Found:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_Found] = loop.create_future()

    def settle(found: _Found, error: OSError | UnicodeError | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(found)
        else:
            done.set_exception(error)

    def work() -> None:
        found: _Found = []
        failure: OSError | UnicodeError | None = None
        try:
            found = socket.getaddrinfo(
                host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
            )
        except (OSError, UnicodeError) as error:
            failure = error
        with suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(settle, found, failure)

    threading.Thread(target=work, name="look-up", daemon=True).start()
    return await done
