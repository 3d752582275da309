"""A worker that answers with what its rank and thread are, and fails as its options say. Not a test module."""

import os
import signal
import sys
import threading
import time
from concurrent.futures import Future

from jackfield.cache import FULL, CacheGroup
from jackfield.dtypes import FLOAT32
from jackfield.errors import CheckpointError
from jackfield.interfaces.platform import Platform
from jackfield.interfaces.worker import Worker, WorkerReport
from jackfield.step import StepLimits, StepResult


class ScriptedPlatform(Platform):
    def choices(self, spec, config, facts):
        return ()

    def create_worker(self, context):
        return ScriptedWorker(context)


class Unpicklable(Exception):
    def __init__(self, message):
        super().__init__(message)
        self.lock = threading.Lock()


class ScriptedWorker(Worker):
    """Option values are {event: action}, for the rank in the option `rank` (None: all)."""

    def __init__(self, context):
        self.context = context
        self.script = dict(context.config.options["scripted"])
        self.folder = context.files.path
        self.threads = {threading.get_ident()}
        self.num_steps = 0
        self.waiting = {}
        self._act("create")

    def load(self):
        self.threads.add(threading.get_ident())
        self._act("load")
        rank = self.context.rank
        group = CacheGroup(
            index=0, kind=FULL, layers=(0,), num_kv_heads=1, head_size=4, dtype=FLOAT32
        )
        return WorkerReport(
            groups=(group,),
            block_bytes=(100 + rank,),
            cache_bytes=10_000 - 1000 * rank,
            limits=StepLimits(max_rows=8 + rank, max_step_tokens=64 - rank),
            is_output_rank=rank == self.script.get("output_rank", 0),
            details={"rendezvous": self.context.rendezvous},
        )

    def allocate(self, num_blocks):
        self.threads.add(threading.get_ident())
        self._act("allocate")

    def submit(self, plan):
        self.threads.add(threading.get_ident())
        self.num_steps += 1
        self._act(f"step{self.num_steps}")
        future = Future()
        if plan.awaits_late:
            self.waiting[plan.step_id] = future
        else:
            self._answer(future, plan.step_id)
        return future

    def sample(self, step_id, late):
        self._answer(self.waiting.pop(step_id), step_id, token_id=len(late.masks))

    def close(self):
        self.threads.add(threading.get_ident())
        self._act("close")
        (self.folder / f"closed{self.context.rank}").touch()

    def _answer(self, future, step_id, token_id=None):
        ids = [self.context.rank, len(self.threads)] if token_id is None else [token_id]
        future.set_result(StepResult(step_id=step_id, token_ids=ids))

    def _act(self, event):
        action = self.script.get(event)
        if action is None or self.script.get("rank", self.context.rank) != self.context.rank:
            return
        (self.folder / f"pid{self.context.rank}").write_text(str(os.getpid()))
        if action == "raise":
            raise RuntimeError(f"scripted at {event}")
        if action == "raise_on_purpose":
            raise CheckpointError("model.bin: too short")
        if action == "raise_unpicklable":
            raise Unpicklable("scripted")
        if action == "exit":
            sys.exit(3)
        if action == "vanish":
            os._exit(5)
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if action == "hang":
            while True:
                time.sleep(0.05)
        if action == "sleep":
            time.sleep(0.3)
