"""How long a trial may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one trial, in seconds."""

    import_s: float
    probe_s: float | None = None  # None: the plugin is imported, not probed

    @property
    def total_s(self) -> float:
        """Of the whole trial."""
        return self.import_s + (self.probe_s or 0.0)
