"""Host time of the scheduler alone, for `schedule` and `update` together, as a line over 1 to 256 decoding rows.

Every row decodes one token a step, with two steps in flight. The rows reach the ends of their blocks at different
steps. The worker is constant, so only the scheduler and the block manager are measured.
"""

from __future__ import annotations

import gc
import statistics
from collections import deque
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from jackfield.cache import FULL, WINDOW, CacheGroup, key_and_value
from jackfield.config import SchedulerSettings
from jackfield.dtypes import BFLOAT16
from jackfield.kv_cache import BlockManager
from jackfield.request import EngineRequest
from jackfield.sampling import SamplingParams
from jackfield.scheduler import Request, Scheduler
from jackfield.scheduler.policies import FcfsPolicy
from jackfield.step import StepLimits, StepPlan, StepResult

ROWS = (1, 2, 4, 8, 16, 32, 64, 96, 128, 160, 192, 224, 256)
BLOCK_SIZE = 16  # tokens
DEPTH = 2
STEPS = 16 * 12  # whole block periods


def make_scheduler(windows: Sequence[int | None]) -> Scheduler:
    """A scheduler with room for 256 requests of 1,024 tokens."""
    groups = [
        CacheGroup(
            index=index,
            kind=FULL if window is None else WINDOW,
            layers=(index,),
            tensors=key_and_value(1, 64, BFLOAT16),
            window=window,
        )
        for index, window in enumerate(windows)
    ]
    blocks = BlockManager(groups, [256 * 64] * len(groups), BLOCK_SIZE, prefix_caching=True)
    limits = StepLimits(max_rows=256, max_step_tokens=1 << 20)
    settings = SchedulerSettings(max_step_tokens=1 << 20)
    return Scheduler(settings, blocks, limits, FcfsPolicy(), max_length=1024)


def seconds_a_step(num_rows: int, windows: Sequence[int | None]) -> float:
    """The median over block periods of the mean step in a period."""
    scheduler = make_scheduler(windows)
    for number in range(num_rows):
        request = EngineRequest(
            request_id=str(number),
            prompt_token_ids=[number] * (576 + number % BLOCK_SIZE),
            sampling=SamplingParams(max_tokens=None),
        )
        scheduler.add(Request.from_engine_request(request, seed=0, end_token_ids=(2,)))
    in_flight: deque[StepPlan] = deque()
    drawn = [7] * num_rows
    periods = []
    for _ in range(STEPS // BLOCK_SIZE):
        begin = perf_counter()
        for _ in range(BLOCK_SIZE):
            while len(in_flight) < DEPTH:
                plan = scheduler.schedule()
                assert plan is not None
                in_flight.append(plan)
            plan = in_flight.popleft()
            scheduler.update(plan, StepResult(step_id=plan.step_id, token_ids=drawn))
        periods.append((perf_counter() - begin) / BLOCK_SIZE)
    return statistics.median(periods[1:])  # the first period includes admissions


def measure_scheduler(repeats: int) -> dict[str, Any]:
    """Intercept and slope of a line over all numbers of rows, for models with one and with two cache groups."""
    return {"one_group": _fit([None], repeats), "full_and_window": _fit([None, 512], repeats)}


def _fit(windows: Sequence[int | None], repeats: int) -> dict[str, float]:
    gc.collect()
    # The least time counts, because a busy machine only adds time.
    times = [
        min(seconds_a_step(num_rows, windows) for _ in range(repeats)) * 1e6 for num_rows in ROWS
    ]
    slope, intercept = statistics.linear_regression(ROWS, times)
    return {
        "intercept_us": round(intercept, 2),
        "slope_us_a_row": round(slope, 3),
        "step_us_at_256_rows": round(times[-1], 1),
    }
