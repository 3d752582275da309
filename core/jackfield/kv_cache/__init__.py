"""Bookkeeping of the paged cache: which request holds which block, which blocks are shared, and which are free."""

from jackfield.kv_cache.block_manager import BlockManager
from jackfield.kv_cache.block_pool import BlockPool
from jackfield.kv_cache.block_table import BlockTable, PrefixHit, cut_at_stop
from jackfield.kv_cache.prefix_hash import BlockHashes
from jackfield.kv_cache.sizing import CacheBudget

__all__ = [
    "BlockHashes",
    "BlockManager",
    "BlockPool",
    "BlockTable",
    "CacheBudget",
    "PrefixHit",
    "cut_at_stop",
]
