"""Which manager handles the blocks of a cache group, by the group's kind."""

from __future__ import annotations

from collections.abc import Mapping

from jackfield.cache import CHUNKED, FULL, LATENT, NONE, RECURRENT, WINDOW
from jackfield.kv_cache.chunked_blocks import ChunkedBlocks
from jackfield.kv_cache.full_blocks import FullBlocks
from jackfield.kv_cache.group_manager import GroupManager
from jackfield.kv_cache.no_blocks import NoBlocks
from jackfield.kv_cache.state_slots import StateSlots
from jackfield.kv_cache.window_blocks import WindowBlocks

MANAGERS: Mapping[str, type[GroupManager]] = {
    FULL: FullBlocks,
    LATENT: FullBlocks,
    WINDOW: WindowBlocks,
    CHUNKED: ChunkedBlocks,
    RECURRENT: StateSlots,
    NONE: NoBlocks,
}
