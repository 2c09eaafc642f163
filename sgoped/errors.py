"""The tree of expected failures, each with a stable code that clients may rely on.

::

    SgopedError                 error             something expected went wrong
    ├── InvalidInput            invalid_input     the request cannot mean anything
    │   └── PathRefused         path_refused      a path that leaves the memory folder
    ├── NotFound                not_found         no such file, model, service, action, run
    ├── Conflict                conflict          the file changed, or the name is taken
    ├── NotText                 not_text          the file is binary
    ├── TooLarge                too_large         over a stated limit
    ├── StorageError            storage_failed    the disk said no (full, read-only, broken)
    ├── ServiceError            service_failed    an LLM service said no, or nothing
    └── StartupError            startup_failed    the daemon cannot start; carries an exit code

``code`` may be narrowed per instance (``StorageError(..., code="storage_full")``); the web
layer alone knows which HTTP status a class or code becomes.
"""

from __future__ import annotations


class SgopedError(Exception):
    """Root of every failure this program expects.

    Attributes:
        message: What happened, to what, and what to do about it; fit to show to a person.
        code: Stable, lower-case identifier.
    """

    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class InvalidInput(SgopedError):  # noqa: N818 - reads as the fact it reports
    """The input cannot be acted upon."""

    code = "invalid_input"


class PathRefused(InvalidInput):
    """A path that is absolute, hidden, malformed, or leads out of the memory folder."""

    code = "path_refused"


class NotFound(SgopedError):  # noqa: N818
    """The thing named does not exist."""

    code = "not_found"


class Conflict(SgopedError):  # noqa: N818
    """The thing changed since it was read, or its name is taken."""

    code = "conflict"


class NotText(SgopedError):  # noqa: N818
    """A binary file was asked for as text."""

    code = "not_text"


class TooLarge(SgopedError):  # noqa: N818
    """Something exceeds a stated limit."""

    code = "too_large"


class StorageError(SgopedError):
    """The disk refused: ``storage_full``, ``read_only`` or ``storage_failed``."""

    code = "storage_failed"


class ServiceError(SgopedError):
    """An LLM service failed.

    The message is a fixed phrase without addresses or keys, because clients choose their text
    by it: it contains ``401``/``Authentication``, ``403``, ``404``, ``Connection`` or
    ``timeout`` when that is what happened.

    Attributes:
        retry_after_seconds: What the service asked for, when it did.
        limit_tokens: The most that the model can take, when the service refused a longer prompt
            and said so.
        prompt_tokens: How long that prompt was by the service's own count, likewise.
    """

    code = "service_failed"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retry_after_seconds: float | None = None,
        limit_tokens: int | None = None,
        prompt_tokens: int | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after_seconds = retry_after_seconds
        self.limit_tokens = limit_tokens
        self.prompt_tokens = prompt_tokens


class StartupError(SgopedError):
    """The daemon cannot start.

    Attributes:
        exit_code: 1 failed, 75 another instance, 78 configuration.
    """

    code = "startup_failed"

    def __init__(self, message: str, *, code: str | None = None, exit_code: int = 1) -> None:
        super().__init__(message, code=code)
        self.exit_code = exit_code
