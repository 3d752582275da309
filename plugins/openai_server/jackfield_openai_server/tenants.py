"""The callers of a server: keys with their names and limits."""

from __future__ import annotations

import hashlib
import hmac
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jackfield.errors import ConfigError
from jackfield_openai_server.errors import ApiError


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantLimits:
    """One table of the file of keys."""

    key: str = ""  # the key that clients send; or
    key_sha256: str = ""  # its SHA-256, as hexadecimal digits
    max_concurrent: int | None = None  # most open requests
    requests_per_minute: float | None = None
    priority: int = 0  # added to the priority of its requests; lower runs first


class Tenant:
    """A caller with a key."""

    def __init__(self, name: str, limits: TenantLimits) -> None:
        self.name = name
        self.limits = limits
        self.num_open = 0
        self._digest = (
            bytes.fromhex(limits.key_sha256) if limits.key_sha256 else _digest(limits.key)
        )
        self._allowance = limits.requests_per_minute or 0.0  # an amount that refills with time
        self._filled_s = time.monotonic()

    def has_digest(self, digest: bytes) -> bool:
        """True if the key has this digest. The check takes equally long for right and wrong keys."""
        return hmac.compare_digest(self._digest, digest)

    def enter(self) -> None:
        """Count a new request. Raises ApiError 429 if it is one too many."""
        limits = self.limits
        if limits.max_concurrent is not None and self.num_open >= limits.max_concurrent:
            raise ApiError(
                429,
                f"{self.name} has {self.num_open} requests under way; {limits.max_concurrent} are allowed at once",
                code="rate_limit_exceeded",
                retry_after_s=1,
            )
        if limits.requests_per_minute is not None:
            self._take(limits.requests_per_minute)
        self.num_open += 1

    def leave(self) -> None:
        """Count the end of a request."""
        self.num_open -= 1

    def _take(self, per_minute: float) -> None:
        now_s = time.monotonic()
        gained = (now_s - self._filled_s) * per_minute / 60
        self._allowance = min(max(per_minute, 1.0), self._allowance + gained)
        self._filled_s = now_s
        if self._allowance < 1:
            wait_s = (1 - self._allowance) * 60 / per_minute
            raise ApiError(
                429,
                f"{self.name} may send {per_minute:g} requests a minute",
                code="rate_limit_exceeded",
                retry_after_s=int(wait_s) + 1,
            )
        self._allowance -= 1


class Tenants:
    """All callers. If there are none, no key is needed."""

    def __init__(self, tenants: tuple[Tenant, ...]) -> None:
        self._tenants = tenants
        self._everybody = Tenant("everybody", TenantLimits())

    @property
    def are_asked(self) -> bool:
        """True if a key is needed."""
        return bool(self._tenants)

    def find(self, key: str | None) -> Tenant:
        """The caller with this key. Raises ApiError 401."""
        if not self._tenants:
            return self._everybody
        if key is None:
            raise ApiError(
                401,
                "this server needs an API key: send it as `Authorization: Bearer KEY`",
                code="missing_api_key",
            )
        digest, found = _digest(key), None
        for tenant in self._tenants:  # all are compared, so that the time tells nothing
            if tenant.has_digest(digest):
                found = tenant
        if found is None:
            raise ApiError(401, "this API key is not known here", code="invalid_api_key")
        return found


def load_tenants(key: str | None, file: str | None) -> Tenants:
    """The callers in a file, and one for the key in the environment. Raises ConfigError."""
    tenants = [] if key is None else [Tenant("default", TenantLimits(key=key))]
    if file is not None:
        try:
            tables = tomllib.loads(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"options.serve.api_keys_file = {file}: {error}") from None
        tenants += [_tenant(file, name, table) for name, table in tables.items()]
    return Tenants(tuple(tenants))


def _tenant(file: str, name: str, table: Any) -> Tenant:
    known = TenantLimits.__dataclass_fields__
    if not isinstance(table, Mapping) or not set(table) <= set(known):
        raise ConfigError(f"{file}: [{name}] must be a table with some of {', '.join(known)}")
    if "/" in name:  # a slash separates the tenant from what it adds to cache salts
        raise ConfigError(f"{file}: the name [{name}] must not hold a slash")
    limits = TenantLimits(**table)
    if bool(limits.key) == bool(limits.key_sha256):
        raise ConfigError(f"{file}: [{name}] needs a key or key_sha256, one of them")
    return Tenant(name, limits)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
