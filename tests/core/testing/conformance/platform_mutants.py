"""Reference platforms with one planted fault each: in the card, or in what its worker does with plans and results."""

import threading
from concurrent.futures import Future
from dataclasses import replace
from itertools import count
from typing import ClassVar

from jackfield.step import BlockAppend
from jackfield.testing.platform import ReferencePlatform
from jackfield.testing.tokenizer import VOCAB_SIZE
from jackfield.testing.worker import ReferenceWorker


class FaultyWorker(ReferenceWorker):
    """Every plan goes through `read` before it is run, every result through `tell` before it is given."""

    def read(self, plan):
        return plan

    def tell(self, plan, result):
        return result

    def submit(self, plan):
        told = Future()

        def pass_on(computed):
            if error := computed.exception():
                told.set_exception(error)
            else:
                told.set_result(self.tell(plan, computed.result()))

        super().submit(self.read(plan)).add_done_callback(pass_on)
        return told


class FaultyPlatform(ReferencePlatform):
    """Makes the worker that a subclass brings."""

    def create_worker(self, context):
        return self.Worker(context)


class Crowded(FaultyPlatform):
    """Among others, a request gets other tokens."""

    class Worker(FaultyWorker):
        def tell(self, plan, result):
            return _next_tokens(result) if len(plan.rows) > 1 else result


class Breathless(FaultyPlatform):
    """A long piece of a prompt ends in another token."""

    class Worker(FaultyWorker):
        def tell(self, plan, result):
            return _next_tokens(result) if max(plan.num_tokens) > 30 else result


class Backwards(FaultyPlatform):
    """Fills the blocks of a prompt from the last to the first, so that what others share is wrong."""

    class Worker(FaultyWorker):
        def read(self, plan):
            return replace(plan, new_rows=[self._turned(new) for new in plan.new_rows])

        def _turned(self, new):
            if new.num_computed:
                return new
            return replace(new, block_ids=tuple(ids[::-1] for ids in new.block_ids))


class Unwilling(FaultyPlatform):
    """Leaves out the copies of shared blocks."""

    class Worker(FaultyWorker):
        def read(self, plan):
            return replace(plan, copies=())


class Clinging(FaultyPlatform):
    """Keeps the rows of requests that ended."""

    class Worker(FaultyWorker):
        def read(self, plan):
            return replace(plan, removed_rows=())


class Misplacing(FaultyPlatform):
    """Puts the newest blocks of one row at the end of another."""

    class Worker(FaultyWorker):
        def read(self, plan):
            rows = [append.row for append in plan.new_blocks]
            turned = zip(plan.new_blocks, rows[1:] + rows[:1], strict=True)
            appends = [BlockAppend(row, one.group, one.block_ids) for one, row in turned]
            return replace(plan, new_blocks=appends)


class Forgetful(FaultyPlatform):
    """Takes every prompt to begin with token 0."""

    class Worker(FaultyWorker):
        def read(self, plan):
            rows = [replace(new, token_ids=[0, *new.token_ids[1:]]) for new in plan.new_rows]
            return replace(plan, new_rows=rows)


class Monotonous(FaultyPlatform):
    """Says the same, whatever it is asked."""

    class Worker(FaultyWorker):
        def tell(self, plan, result):
            return replace(result, token_ids=[5] * len(result.token_ids))


class Seedless(FaultyPlatform):
    """Draws with one seed for all."""

    class Worker(FaultyWorker):
        def read(self, plan):
            return _with_seeds(plan, iter([0] * len(plan.new_rows)))


class Restless(FaultyPlatform):
    """Draws with a seed of its own each time."""

    seeds = count(1000)

    class Worker(FaultyWorker):
        def read(self, plan):
            return _with_seeds(plan, Restless.seeds)


class Boastful(FaultyPlatform):
    """Its log probabilities are all half as bad."""

    class Worker(FaultyWorker):
        def tell(self, plan, result):
            return _with_logprobs(result, lambda logprob: logprob / 2)


class Shy(FaultyPlatform):
    """Its log probabilities are smaller among others."""

    class Worker(FaultyWorker):
        def tell(self, plan, result):
            return _with_logprobs(result, lambda logprob: logprob - (len(plan.rows) - 1) / 100)


class Playful(FaultyPlatform):
    """Draws where it is to take the most likely token."""

    class Worker(FaultyWorker):
        def read(self, plan):
            rows = [
                replace(new, sampling=replace(new.sampling, temperature=2.0))
                for new in plan.new_rows
            ]
            return replace(plan, new_rows=rows)


class Hoarding(FaultyPlatform):
    """Remembers every worker that it made."""

    made: ClassVar = []

    def create_worker(self, context):
        self.made.append(ReferenceWorker(context))
        return self.made[-1]


class Haunted(FaultyPlatform):
    """Starts a thread that nobody ends."""

    class Worker(FaultyWorker):
        def load(self):
            threading.Thread(target=threading.Event().wait, daemon=True).start()
            return super().load()


class Jealous(FaultyPlatform):
    """Its device serves one worker at a time, and is given back by none that failed."""

    is_taken = False

    class Worker(FaultyWorker):
        def load(self):
            if Jealous.is_taken:
                raise RuntimeError("the device is taken")
            Jealous.is_taken = True
            self.num_told = self.num_read = 0
            return super().load()

        def read(self, plan):
            self.num_read += 1
            return plan

        def tell(self, plan, result):
            self.num_told += 1
            return result

        def close(self):
            Jealous.is_taken = self.num_read == 0
            super().close()


class Generous(FaultyPlatform):
    """Takes more rows than the settings allow."""

    class Worker(FaultyWorker):
        def load(self):
            report = super().load()
            return replace(report, limits=replace(report.limits, max_rows=1 << 20))


class Misspelt(FaultyPlatform):
    """A default of a setting that does not exist."""

    def defaults(self, facts):
        return {"scheduler.max_row": 8}


class Moody(FaultyPlatform):
    """Wants other things chosen each time."""

    def choices(self, spec, config, facts):
        return (object(),)


def _next_tokens(result):
    return replace(result, token_ids=[(one + 1) % VOCAB_SIZE for one in result.token_ids])


def _with_seeds(plan, seeds):
    rows = [replace(new, seed=seed) for new, seed in zip(plan.new_rows, seeds, strict=False)]
    return replace(plan, new_rows=rows)


def _with_logprobs(result, change):
    def changed(entry):
        top = tuple(change(logprob) for logprob in entry.top_logprobs)
        return replace(entry, logprob=change(entry.logprob), top_logprobs=top)

    logprobs = {row: [changed(one) for one in entries] for row, entries in result.logprobs.items()}
    return replace(result, logprobs=logprobs)


class Stale(FaultyPlatform):
    def probe(self):
        return {**super().probe(), "available_bytes": 1 << 30}
