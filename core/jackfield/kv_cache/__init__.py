"""The books of the paged cache: which block belongs to whom, what is shared, what is free."""

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
