"""Limits of the container that this process runs in: nested control groups of Linux, version 1 and 2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


class Cgroups:
    """The groups of this process. A limit of a group holds for all groups inside it.

    In /proc/self/cgroup each line is NUMBER:CONTROLLERS:PATH; the line of version 2 names no controllers. Inside a
    container the path may be that of the host and not exist below the mount: then the mount is the group itself.
    """

    def __init__(self, root: Path = _ROOT, own: Path = _OWN) -> None:
        self._root = root
        self._lines = [line.split(":", 2) for line in _read(own).splitlines()]

    def free_bytes(self) -> int | None:
        """The least memory that a group leaves free; None if no group has a limit. Caches of files count as free."""
        found = [
            *self._free(None, "memory.max", "memory.current", "inactive_file"),
            *self._free("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ]  # fmt: skip
        return min(found, default=None)

    def cores(self) -> float | None:
        """The least number of cores that the quota of a group allows; None if no group has a quota."""
        found = []
        for group in self._groups(None):
            quota, _, period = _read(group / "cpu.max").partition(" ")
            found += _share(quota, period)
        for group in self._groups("cpu"):
            found += _share(_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us"))
        return min(found, default=None)

    def _free(self, controller: str | None, limit: str, usage: str, cached: str) -> Iterator[int]:
        for group in self._groups(controller):
            most, used = _read(group / limit), _read(group / usage)
            if most.isdigit() and used.isdigit():
                words = dict(line.split()[:2] for line in _read(group / "memory.stat").splitlines())
                yield max(0, int(most) - int(used) + int(words.get(cached, 0)))

    def _groups(self, controller: str | None) -> Iterator[Path]:
        """The group of this process and the groups around it, the innermost first. `controller` None: version 2."""
        for _, names, path in (line for line in self._lines if len(line) == 3):
            if (controller in names.split(",")) if controller else not names:
                for mount in self._mounts(names):
                    group = mount / path.lstrip("/")
                    yield from (g for g in (group, *group.parents) if g.is_relative_to(mount))

    def _mounts(self, names: str) -> list[Path]:
        """Mounts of a hierarchy: version 2 is at the root or in `unified`, version 1 has one for its controllers."""
        if not names:
            return [self._root, self._root / "unified"]
        folders = [self._root / name for name in (names, *names.split(","))]
        return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def _share(quota: str, period: str) -> list[float]:
    if quota.strip().isdigit() and period.strip().isdigit() and int(period):
        return [int(quota) / int(period)]
    return []


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
