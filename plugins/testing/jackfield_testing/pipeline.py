"""The clock of a device whose layers are spread over stages: when each step of a run would be in which stage."""

from __future__ import annotations

from jackfield.step import StepPlan


class SimulatedPipeline:
    """Each step takes one unit of time in each stage, one stage after the other. A stage has one step at a time.

    A step enters the first stage when it was submitted and every token that it computes is known; the last stage
    draws tokens. The host takes no time: it submits until `depth` steps are in flight, then waits for the oldest.
    """

    def __init__(self, num_stages: int) -> None:
        self._free_at = [0] * num_stages  # for each stage
        self._drawn_at: dict[int, int] = {}  # for each row: when its newest token is known
        self._done_at: dict[int, int] = {}  # for each step
        self._now = 0  # time of the host
        self._spans: list[tuple[int, int]] = []  # for each step, in each stage

    def submit(self, plan: StepPlan) -> None:
        """Send a step through the stages."""
        for row in plan.removed_rows:
            self._drawn_at.pop(row, None)
        time = max([self._now, *(self._drawn_at.get(row, 0) for row in plan.rows)])
        for stage, free_at in enumerate(self._free_at):
            start = max(time, free_at)
            time = self._free_at[stage] = start + 1
            self._spans.append((start, time))
        for row, samples in zip(plan.rows, plan.samples, strict=True):
            if samples:
                self._drawn_at[row] = time
        self._done_at[plan.step_id] = time

    def wait(self, plan: StepPlan) -> None:
        """Let the host wait for the result of a step."""
        self._now = max(self._now, self._done_at.pop(plan.step_id))

    def busy(self, start: int, stop: int) -> float:
        """The share of all stages' time between two moments in which they were working."""
        worked = sum(max(0, min(end, stop) - max(begin, start)) for begin, end in self._spans)
        return worked / (len(self._free_at) * (stop - start))

    @property
    def now(self) -> int:
        """The time of the host."""
        return self._now
