"""The card: the paths that are served. `create` imports all that takes long to import."""

from __future__ import annotations

from typing import ClassVar

from jackfield.config import EngineConfig
from jackfield.interfaces.endpoint import AsgiApp, Endpoint, Serving


class OllamaEndpoint(Endpoint):
    """Ollama's API: `/api/generate`, `/api/chat`, `/api/tags` and `/api/version`."""

    path: ClassVar[str] = "/api"

    def create(self, serving: Serving, config: EngineConfig) -> AsgiApp:
        """A Router passes errors on to the server; an application of Starlette would answer them by itself."""
        from jackfield_acme_ollama.api import make_app

        return make_app(serving)
