"""Every error that Jackfield raises on purpose, as one tree.

    JackfieldError
    ├── ConfigError                 a setting has a value that is not allowed
    │   └── UnknownSettingError     a setting that does not exist (or no longer does)
    ├── RequestError                one request is wrong; other requests go on
    ├── PluginError
    │   ├── PluginNotFound          no installed plugin has that name
    │   ├── PluginConflict          two distributions own one name
    │   ├── PluginIncompatible      has another major of the contract
    │   ├── PluginLoadError         failed while it was imported, probed or created
    │   ├── PluginDrift             what is installed or selected differs from the lock
    │   └── SelectionError          nothing fits; carries the Decision
    ├── ModelError
    │   ├── ModelNotFound           the reference leads to no files
    │   ├── UnsupportedModelError   no plugin or runtime can run it
    │   └── CheckpointError         a weight file is broken or does not match
    └── EngineError
        ├── WorkerError             a worker raised or died; carries its traceback
        ├── OutOfMemoryError        the cache cannot hold what was asked for
        └── EngineClosedError       used after close()

A message says what failed, what was given, what is allowed and what to do.
"""

from __future__ import annotations

from typing import Any


class JackfieldError(Exception):
    """Base of all errors that Jackfield raises on purpose.

    An error that ends a selection carries its Decision. An error while an engine is made carries all decisions so far.
    """

    summary: str = ""  # the message without reports and tracebacks, if it has any
    decision: object = None
    decisions: tuple[object, ...] = ()


class ConfigError(JackfieldError, ValueError):
    """A setting has a value that is not allowed."""


class UnknownSettingError(ConfigError):
    """A setting that does not exist."""


class RequestError(JackfieldError, ValueError):
    """One request is wrong. Only that request ends."""


class PluginError(JackfieldError):
    """Something about a plugin, its entry point or its selection."""


class PluginNotFound(PluginError, LookupError):
    """No installed plugin has that name."""


class PluginConflict(PluginError):
    """Two distributions own the same name of the same kind."""


class PluginIncompatible(PluginError):
    """The plugin was written for a major version of the contract that is not served."""


class PluginLoadError(PluginError):
    """A plugin failed while it was imported, probed or created. `summary` and `remedy` are one line each."""

    remedy: str = ""


class PluginDrift(PluginError):
    """What is installed or selected differs from the lock."""


class SelectionError(PluginError):
    """No candidate fits. `decision` holds every candidate with its reasons."""

    def __init__(self, message: str, decision: object = None, summary: str = "") -> None:
        super().__init__(message)
        self.decision = decision
        self.summary = summary


class ModelError(JackfieldError):
    """Something about a model or its files."""


class ModelNotFound(ModelError, LookupError):
    """The reference leads to no model files."""


class UnsupportedModelError(ModelError):
    """No plugin knows the architecture, or no runtime has a feature it uses."""


class CheckpointError(ModelError):
    """A weight file is broken or does not match the model."""


class EngineError(JackfieldError):
    """The engine as a whole cannot go on."""


class WorkerError(EngineError):
    """A worker raised or died. `worker_traceback` is the text of its own traceback."""

    def __init__(self, message: str, worker_traceback: str = "") -> None:
        text = f"{message}\n\nTraceback of the worker:\n{worker_traceback}"
        super().__init__(text if worker_traceback else message)
        self.summary = message
        self.worker_traceback = worker_traceback

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.summary, self.worker_traceback)


class OutOfMemoryError(EngineError):
    """The cache cannot hold what was asked for."""


class EngineClosedError(EngineError):
    """The engine was used after `close()`."""
