"""Reference platforms with one planted fault each: in the card, or in what its worker does with plans and results."""

import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from itertools import count
from typing import ClassVar

from overtaken import Overtaken

from jackfield.decision import Reason
from jackfield.step import BlockAppend
from jackfield_testing.platform import ReferencePlatform
from jackfield_testing.tokenizer import VOCAB_SIZE
from jackfield_testing.worker import ReferenceWorker


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


class Shy(FaultyPlatform):
    """Its log probabilities are smaller among others."""

    class Worker(FaultyWorker):
        def tell(self, plan, result):
            return _with_logprobs(result, lambda logprob: logprob - (len(plan.rows) - 1) / 100)


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


def ignoring(**changes):
    """A worker that takes sampling parameters to be as they are unless they are set."""

    class Worker(FaultyWorker):
        def read(self, plan):
            rows = [replace(n, sampling=replace(n.sampling, **changes)) for n in plan.new_rows]
            return replace(plan, new_rows=rows)

    return Worker


class WithoutTopP(FaultyPlatform):
    Worker = ignoring(top_p=1.0)


class WithoutRepetition(FaultyPlatform):
    Worker = ignoring(repetition_penalty=1.0)


class Reversed(FaultyPlatform):
    """Its log probabilities of a prompt stand the wrong way round."""

    class Worker(FaultyWorker):
        def tell(self, plan, result):
            turned = {row: list(entries)[::-1] for row, entries in result.prompt_logprobs.items()}
            return replace(result, prompt_logprobs=turned)


class Ranked(FaultyPlatform):
    """The rank of a token is off by one."""

    class Worker(FaultyWorker):
        def tell(self, plan, result):
            logprobs = {
                row: [replace(one, rank=one.rank - 1) for one in entries]
                for row, entries in result.logprobs.items()
            }
            return replace(result, logprobs=logprobs)


class Unmasked(FaultyPlatform):
    """Takes no notice of late masks."""

    class Worker(FaultyWorker):
        def sample(self, step_id, late):
            super().sample(step_id, replace(late, masks=None))


class Quarrelling(FaultyPlatform):
    """Several ranks compute something else than one."""

    class Worker(FaultyWorker):
        def __init__(self, context):
            super().__init__(context)
            self.num_ranks = context.num_ranks

        def tell(self, plan, result):
            return _next_tokens(result) if self.num_ranks > 1 else result


class Overtaking(FaultyPlatform):
    """Of three steps the second resolves late."""

    class Worker(Overtaken, FaultyWorker): ...


class Remembering(FaultyPlatform):
    """Keeps a megabyte of every request."""

    kept: ClassVar = []

    class Worker(FaultyWorker):
        def read(self, plan):
            self.kept = Remembering.kept
            self.kept += [b"\1" * (1 << 20) for _ in plan.new_rows]
            return plan


class Stale(FaultyPlatform):
    """A row that comes back after a preemption repeats its last token."""

    class Worker(FaultyWorker):
        def tell(self, plan, result):
            back = {
                new.row: new.token_ids[-1]
                for new in plan.new_rows
                if len(new.token_ids) > new.num_prompt_tokens
            }
            rows = [row for row, draws in zip(plan.rows, plan.samples, strict=True) if draws]
            tokens = [
                back.get(row, token) for row, token in zip(rows, result.token_ids, strict=True)
            ]
            return replace(result, token_ids=tokens)


class Lingering(FaultyPlatform):
    """Sound: what watches its device holds the worker, and ends a little after it was closed."""

    class Worker(FaultyWorker):
        def load(self):
            self.stop = threading.Event()

            def watch(worker):
                worker.stop.wait()
                time.sleep(0.3)

            threading.Thread(target=watch, args=(self,), daemon=True).start()
            return super().load()

        def close(self):
            self.stop.set()
            super().close()


class Elsewhere(ReferencePlatform):
    """Sound: its device is not here."""

    def probe(self):
        raise OSError("no such device")


class Refusing(ReferencePlatform):
    """Sound: does not compute in float32."""

    def check(self, need, facts):
        reason = Reason("dtype", "computes in bfloat16 alone")
        return () if need.dtype == "bfloat16" else (reason,)


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
