import pytest

from jackfield.activation import ActivationPlan
from jackfield.config import (
    CacheSettings,
    EngineConfig,
    ExecutorSettings,
    SchedulerSettings,
)
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.worker import WorkerContext
from jackfield.sampling import SamplingParams
from jackfield.step import LateInputs, NewRow, StepLimits, StepPlan
from jackfield_testing.device import ReferenceDevice
from jackfield_testing.models import tiny_spec
from jackfield_testing.options import ReferenceOptions
from jackfield_testing.worker import ReferenceWorker

BLOCK_SIZE = 4
GREEDY = SamplingParams(temperature=0, max_tokens=64)


class Driver:
    """A device with hand-made plans."""

    def __init__(self, windows=(None,), num_blocks=16, **options):
        self.spec = tiny_spec(windows=windows)
        groups = self.spec.cache_groups(self.spec.dtype)
        self.num_groups = len(groups)
        self.device = ReferenceDevice(
            groups,
            [num_blocks] * len(groups),
            BLOCK_SIZE,
            vocab_size=self.spec.vocab_size,
            max_length=self.spec.max_length,
            limits=StepLimits(max_rows=4, max_step_tokens=64),
            options=ReferenceOptions(**options),
        )
        self.step_id = -1

    def new(self, row, token_ids, *block_ids, num_computed=0, sampling=GREEDY, **fields):
        """A new row; one table of `block_ids` stands for those of all groups."""
        tables = block_ids if len(block_ids) == self.num_groups else block_ids * self.num_groups
        fields.setdefault("num_prompt_tokens", len(token_ids))
        fields.setdefault("seed", 0)
        return NewRow(
            row=row,
            token_ids=token_ids,
            num_computed=num_computed,
            block_ids=tables,
            sampling=sampling,
            **fields,
        )

    def step(self, *work, late=None, **fields):
        """Run a step; `work` are (row, num_tokens, samples)."""
        self.step_id += 1
        rows, num_tokens, samples = zip(*work, strict=True) if work else ((), (), ())
        plan = StepPlan(
            step_id=self.step_id, rows=rows, num_tokens=num_tokens, samples=samples, **fields
        )
        return self.device.run(plan, late or LateInputs())

    def decode(self, row, count):
        """The next `count` tokens of a row, one a step."""
        return [self.step((row, 1, True)).token_ids[0] for _ in range(count)]


@pytest.fixture
def make_driver():
    return Driver


@pytest.fixture
def driver():
    return Driver()


@pytest.fixture
def make_worker():
    workers = []

    def make(depth=2, rank=0, **options):
        context = WorkerContext(
            activation=ActivationPlan(selections=()),
            config=EngineConfig(
                cache=CacheSettings(block_size=BLOCK_SIZE),
                scheduler=SchedulerSettings(max_rows=4, max_step_tokens=64),
                executor=ExecutorSettings(depth=depth),
                options={"reference": options},
            ),
            spec=tiny_spec(),
            files=ModelFiles(reference="tiny", path=None),
            rank=rank,
        )
        worker = ReferenceWorker(context)
        workers.append(worker)
        worker.load()
        worker.allocate([16])
        return worker

    yield make
    for worker in workers:
        worker.close()
