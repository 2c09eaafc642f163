"""``ModelEmbedder``: the embedding model that a person named, found anew each time it is asked.

Services come and go while the daemon runs, so nothing of them is kept between two questions. Since
the text of a whole folder goes to the model unasked, a bare name never means a remote one: it would
begin to mean it because a service was added, or because another one was removed or was silent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sgoped.errors import NotFound
from sgoped.llm.configured import ConfiguredService
from sgoped.llm.service import EmbeddingService

_MAX_SHOWN_CHARS = 200


class ModelEmbedder:
    """Asks the model that ``name`` means at present: an id, or a local model's unambiguous name."""

    def __init__(self, name: str, configured: Callable[[], Sequence[ConfiguredService]]) -> None:
        self._name = name
        self._configured = configured

    def model_id(self) -> str:
        """``<service id>/<name>`` of the model that would be asked now.

        Raises:
            NotFound: No such model (``model_not_found``), or several (``model_ambiguous``).
        """
        service, name = self._found()
        return f"{service.id}/{name}"

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector of length 1 for each text.

        Raises:
            NotFound: As for ``model_id``.
            ServiceError: The service did not tell, or is left alone at present.
        """
        configured, name = self._found()
        service = configured.service
        if not isinstance(service, EmbeddingService):  # its stored configuration cannot be used
            raise NotFound(f"The service '{configured.id}' cannot be asked", code="model_not_found")
        # Not an attempt of its own: that this model is too slow says nothing of those that chat.
        await configured.guard.ready()
        return await service.embed(name, texts)

    def _found(self) -> tuple[ConfiguredService, str]:
        service_id, slash, bare = self._name.partition("/")
        usable = [service for service in self._configured() if service.enabled and service.service]
        if slash and bare:
            for service in usable:
                # Taken at its word: a list may leave out what only embeds.
                if service.id == service_id:
                    return service, bare
        for wanted in (self._name, f"{self._name}:latest"):
            having = [service for service in usable if wanted in _names(service)]
            if having:
                return self._local_of(having, wanted), wanted
        raise NotFound(f"Model '{self._shown}' not available", code="model_not_found")

    def _local_of(self, having: Sequence[ConfiguredService], name: str) -> ConfiguredService:
        local = [service for service in having if service.is_local]
        if len(local) == 1:
            return local[0]
        ids = ", ".join(f"{service.id}/{name}" for service in having)
        if local:
            raise NotFound(
                f"Model '{self._shown}' is offered by several services: name one of {ids}",
                code="model_ambiguous",
            )
        raise NotFound(
            f"Model '{self._shown}' is one of a remote service: to send it the text of your files, "
            f"name it as {ids}",
            code="model_not_found",
        )

    @property
    def _shown(self) -> str:
        printable = (char if char.isprintable() else "\ufffd" for char in self._name)
        return "".join(printable)[:_MAX_SHOWN_CHARS]


def _names(configured: ConfiguredService) -> list[str]:
    return [*configured.models, *getattr(configured.service, "embedding_models", ())]
