"""Faults that are planted in the books are noticed. Otherwise the tests beside this file would prove nothing."""

import random

import pytest

from jackfield.kv_cache.block_manager import BlockManager, PrefixHit
from jackfield.kv_cache.block_pool import BlockPool
from jackfield.kv_cache.prefix_hash import BlockHashes
from jackfield.kv_cache.window_blocks import WindowBlocks
from jackfield.scheduler import Scheduler
from jackfield.scheduler.plan_builder import PlanBuilder
from jackfield_testing.faults import BooksError

pytestmark = pytest.mark.core_model

FULL, WINDOW, BOTH = (None,), (6,), (None, 6)


def run_workloads(make_loop, windows):
    """Prompts in one piece and in several, with too few blocks and with enough."""
    least = 26 if None in windows else 12
    for num_blocks in (least, 3 * least):
        for chunk in (None, 8):
            limits = {"max_step_tokens": 24, "long_prefill_tokens": chunk, "max_rows": 4}
            run_workload(make_loop(windows, num_blocks=num_blocks, depth=2, **limits))


def run_workload(loop):
    """Shared prefixes, equal prompts, siblings and late stops: whatever a fault could hurt."""
    draw = random.Random(1)
    for number in range(24):
        begin = list(b"the same beginning, "[: draw.choice((0, 8, 18, 20))])
        prompt = begin + [draw.randrange(3) for _ in range(draw.randint(1, 9))]
        loop.ask(prompt, n=1 + number % 3, temperature=1.0, seed=number, max_tokens=20)
        loop.ask(list(b"exactly the same"), ignore_eos=True)
        loop.ask([number % 3] * 4 + [9] * 8, stop_token_ids=tuple(range(0, 256, 6)))
        loop.ask([*b"a long prompt that takes several steps, " * 2, number % 2], max_tokens=2)
        loop.ask([number] * 80, n=2, max_tokens=2)
    loop.run()
    loop.check()


def patch(monkeypatch, owner, name):
    """Replace a method by what the decorated function does with the original."""

    def decorate(function):
        original = getattr(owner, name)

        def planted(self, *args, **values):
            return function(original, self, *args, **values)

        monkeypatch.setattr(owner, name, planted)

    return decorate


def drop_a_block_of_the_window(monkeypatch):
    @patch(monkeypatch, BlockManager, "_drop_behind")
    def planted(original, self, table, position):
        return original(self, table, position + self.block_size)


def count_one_too_many_as_behind_the_window(monkeypatch):
    @patch(monkeypatch, BlockManager, "_drop_behind")
    def planted(original, self, table, position):
        return original(self, table, position + 1)


def hit_a_window_that_is_one_block_short(monkeypatch):
    @patch(monkeypatch, WindowBlocks, "first_needed")
    def planted(original, self, position):
        first = original(self, position)
        return first + 1 if first * self.block_size < position - 4 else first


def skip_the_copy_of_a_shared_tail(monkeypatch):
    @patch(monkeypatch, BlockManager, "_own_tail")
    def planted(original, self, index, block, copies):
        return original(self, index, block, [])


def write_into_a_shared_tail(monkeypatch):
    @patch(monkeypatch, BlockManager, "_own_tail")
    def planted(original, self, index, block, copies):
        return block


def copy_the_wrong_way_round(monkeypatch):
    @patch(monkeypatch, PlanBuilder, "build")
    def planted(original, self, *args):
        self.copies = [type(c)(c.group, c.target, c.source) for c in self.copies]
        return original(self, *args)


def free_a_block_that_others_still_use(monkeypatch):
    @patch(monkeypatch, BlockPool, "release")
    def planted(original, self, block):
        self.ref_counts[block] = 1
        original(self, block)


def give_a_running_request_s_block_away(monkeypatch):
    @patch(monkeypatch, BlockManager, "extend")
    def planted(original, self, table, start, stop):
        grown = original(self, table, start, stop)
        if grown:
            group, (block, *_) = grown[0]
            self.pools[group].release(block)
        return grown


def leave_out_the_parent_of_a_hash(monkeypatch):
    @patch(monkeypatch, BlockHashes, "first")
    def planted(original, self, count, token_ids, block_size):
        starts = range(0, count * block_size, block_size)
        return [repr(token_ids[start : start + block_size]).encode() for start in starts]


def remember_blocks_that_are_not_computed(monkeypatch):
    @patch(monkeypatch, BlockManager, "remember")
    def planted(original, self, table, hashes, token_ids, num_computed):
        num_slots = min(map(len, table.block_ids)) * self.block_size
        original(self, table, hashes, token_ids, min(len(token_ids), num_slots))


def hit_one_token_too_many(monkeypatch):
    @patch(monkeypatch, BlockManager, "find_prefix")
    def planted(original, self, hashes, token_ids):
        hit = original(self, hashes, token_ids)
        if 0 < hit.num_tokens < len(token_ids) - 1:
            return PrefixHit(hit.num_tokens + 1, hit.block_ids, hit.first_held)
        return hit


def keep_a_hash_of_a_block_that_is_taken(monkeypatch):
    monkeypatch.setattr(BlockPool, "forget", lambda self, block: None)


def do_not_tell_the_worker_of_new_blocks(monkeypatch):
    monkeypatch.setattr(PlanBuilder, "append_blocks", lambda self, row, grown: None)


def do_not_tell_the_worker_of_removed_rows(monkeypatch):
    @patch(monkeypatch, PlanBuilder, "build")
    def planted(original, self, removed_rows, decoding):
        return original(self, [], decoding)


def mix_up_the_tables_of_two_groups(monkeypatch):
    @patch(monkeypatch, PlanBuilder, "append_blocks")
    def planted(original, self, row, grown):
        original(self, row, [(1 - group, block_ids) for group, block_ids in grown])


def lose_a_block_when_a_request_leaves(monkeypatch):
    @patch(monkeypatch, BlockManager, "give_back")
    def planted(original, self, table):
        table.first_held = [first + 1 for first in table.first_held]
        original(self, table)


def keep_what_came_after_the_end(monkeypatch):
    @patch(monkeypatch, Scheduler, "update")
    def planted(original, self, plan, result):
        moved = original(self, plan, result)
        for request in (self._in_flight and self._in_flight[0].requests) or ():
            if request.is_finished:
                request.token_ids.append(0)
        return moved


FAULTS = [
    (drop_a_block_of_the_window, WINDOW),
    (drop_a_block_of_the_window, BOTH),
    (count_one_too_many_as_behind_the_window, WINDOW),
    (hit_a_window_that_is_one_block_short, WINDOW),
    (skip_the_copy_of_a_shared_tail, FULL),
    (skip_the_copy_of_a_shared_tail, WINDOW),
    (write_into_a_shared_tail, FULL),
    (write_into_a_shared_tail, BOTH),
    (copy_the_wrong_way_round, FULL),
    (free_a_block_that_others_still_use, FULL),
    (free_a_block_that_others_still_use, WINDOW),
    (give_a_running_request_s_block_away, FULL),
    (give_a_running_request_s_block_away, WINDOW),
    (leave_out_the_parent_of_a_hash, FULL),
    (leave_out_the_parent_of_a_hash, WINDOW),
    (remember_blocks_that_are_not_computed, FULL),
    (remember_blocks_that_are_not_computed, WINDOW),
    (hit_one_token_too_many, FULL),
    (keep_a_hash_of_a_block_that_is_taken, FULL),
    (do_not_tell_the_worker_of_new_blocks, FULL),
    (do_not_tell_the_worker_of_removed_rows, FULL),
    (mix_up_the_tables_of_two_groups, BOTH),
    (lose_a_block_when_a_request_leaves, FULL),
    (keep_what_came_after_the_end, FULL),
]


@pytest.mark.parametrize("windows", [FULL, WINDOW, BOTH], ids=str)
def test_without_a_fault_the_workload_is_right(make_loop, windows):
    run_workloads(make_loop, windows)


@pytest.mark.parametrize(
    ("plant", "windows"), FAULTS, ids=lambda value: getattr(value, "__name__", str(value))
)
def test_a_planted_fault_is_noticed(make_loop, monkeypatch, plant, windows):
    plant(monkeypatch)

    with pytest.raises((BooksError, AssertionError)):
        run_workloads(make_loop, windows)
