"""Which models are in memory. A model is loaded when a request needs it; if room is needed, idle ones are unloaded."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from resource import getpagesize

from jackfield.errors import EngineError
from jackfield_openai_server.errors import ApiError
from jackfield_openai_server.options import ServeOptions
from jackfield_openai_server.served import ServedModel, ServedModels

logger = logging.getLogger(__name__)
_IDLE_S = 1.0  # seconds after a request was admitted before its model counts as unused
_LOOK_S = 0.05  # seconds between two checks for a model that can be unloaded


class Residence:
    """Loads and unloads models. All methods run in one event loop."""

    def __init__(self, models: ServedModels, options: ServeOptions) -> None:
        self._models = models
        self._most = options.max_loaded_models
        self._budget = options.models_memory_bytes
        self._lock = asyncio.Lock()  # one model is loaded at a time
        self._used_s: dict[ServedModel, float] = {}  # when each model was last asked for
        # Memory of each engine's process, when it was last read.
        self._bytes: dict[ServedModel, int] = {}

    async def begin(self) -> None:
        """Load the models of the config, in order, as far as they fit. Raises the error that prevents one from loading."""
        models = self._models.all if self._most is None else self._models.all[: self._most]
        for model in models:
            if not self._has_room_for(model) and any(m.is_loaded for m in self._models.all):
                return
            await self._load(model)

    async def take(self, name: str | None) -> ServedModel:
        """The model with that name. It is loaded if necessary. Raises ApiError 404; 503 if loading fails."""
        model = self._models.find(name)
        self._used_s[model] = time.monotonic()
        if len(self._models.all) == 1 or model.is_ready:
            return model
        async with self._lock:  # entered also while another request loads the model
            if not model.is_loaded:
                await self._make_room(model)
                try:
                    await self._load(model)
                except EngineError as error:
                    raise ApiError(503, str(error), code="model_not_ready") from None
        return model

    async def unload(self, model: ServedModel) -> None:
        """End the engine of a model. Its open requests fail."""
        async with self._lock:
            await self._unload(model)

    async def _load(self, model: ServedModel) -> None:
        began_s = time.monotonic()
        try:
            await model.start()
        except BaseException:
            await model.unload()
            raise
        self._used_s.setdefault(model, began_s)
        logger.info("loaded %s in %.1f s", model.names[0], time.monotonic() - began_s)
        if not self._has_room_for(model):  # it is larger than was known before
            for other in self._unused(model):
                await self._unload(other)
                if self._has_room_for(model):
                    return

    async def _make_room(self, model: ServedModel) -> None:
        while not self._has_room_for(model):
            unused = self._unused(model)
            if unused:
                await self._unload(unused[0])
            elif not any(other.is_loaded for other in self._models.all):
                return  # a model that is alone may have all memory
            else:
                # A client with a deadline is answered when the deadline is over.
                await asyncio.sleep(_LOOK_S)

    async def _unload(self, model: ServedModel) -> None:
        await model.unload()
        logger.info("unloaded %s", model.names[0])

    def _has_room_for(self, model: ServedModel) -> bool:
        """True if `model` fits in memory beside all loaded models."""
        others = [other for other in self._models.all if other.is_loaded and other is not model]
        if self._most is not None and len(others) >= self._most:
            return False
        if self._budget is None:
            return True
        if model.is_loaded:
            self._bytes[model] = resident_bytes(model.engine.pid)
        for other in others:
            self._bytes[other] = resident_bytes(other.engine.pid)
        total = sum(self._bytes[other] for other in others) + self._bytes.get(model, 0)
        return total <= self._budget

    def _unused(self, wanted: ServedModel) -> list[ServedModel]:
        """Loaded models without a request; the model whose last use is oldest comes first."""
        now_s = time.monotonic()
        found = [
            model
            for model in self._models.all
            if model is not wanted
            and model.is_loaded
            and not model.engine.num_open
            and now_s - self._used_s.get(model, 0.0) > _IDLE_S
        ]
        return sorted(found, key=lambda model: self._used_s.get(model, 0.0))


def resident_bytes(pid: int | None) -> int:
    """Memory of a process in bytes; 0 if the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * getpagesize()
    except (OSError, ValueError, IndexError):
        return 0
