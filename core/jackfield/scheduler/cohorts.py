"""The decoding rows, in cohorts that take turns, so that steps in flight do not depend on each other."""

from __future__ import annotations

from collections.abc import Iterator

from jackfield.scheduler.request import Request


class Cohorts:
    """With one cohort every step holds all rows, and the next step may be planned before it is resolved.

    With several cohorts, each has at most one step in flight. A request that begins to decode joins the smallest
    cohort when the step that draws its first token is resolved; before that, it would depend on this step.
    """

    def __init__(self, num_cohorts: int) -> None:
        self._cohorts: list[list[Request]] = [[] for _ in range(num_cohorts)]
        self._last_steps = [-1] * num_cohorts  # for each cohort: its newest step
        self._joining: list[Request] = []
        self._joining_steps: list[int] = []  # for each joining request: the step to wait for
        self._turn = 0

    def __iter__(self) -> Iterator[Request]:
        for cohort in self._cohorts:
            yield from cohort
        yield from self._joining

    def next(self, resolved_step: int) -> list[Request]:
        """The cohort to plan now, which may be empty. `add` and `remove` change it."""
        cohorts = self._cohorts
        if len(cohorts) == 1:
            return cohorts[0]
        for offset in range(len(cohorts)):
            index = (self._turn + offset) % len(cohorts)
            if cohorts[index] and self._last_steps[index] <= resolved_step:
                self._turn = (index + 1) % len(cohorts)
                self._share_out(cohorts[index])
                return cohorts[index]
        return []

    def planned(self, cohort: list[Request], step_id: int) -> None:
        """Note that the rows of `cohort` are in this step."""
        for index, own in enumerate(self._cohorts):
            if own is cohort:
                self._last_steps[index] = step_id

    def resolved(self, step_id: int) -> None:
        """Note that the step was resolved. Requests that waited for it join a cohort."""
        if self._joining:
            waiting = [
                (r, s)
                for r, s in zip(self._joining, self._joining_steps, strict=True)
                if s > step_id
            ]
            for request, last in zip(self._joining, self._joining_steps, strict=True):
                if last <= step_id:
                    self._join(request)
            self._joining[:] = [request for request, _ in waiting]
            self._joining_steps[:] = [last for _, last in waiting]

    def add(self, request: Request, step_id: int) -> None:
        """Let a request decode when `step_id`, the newest step with its row, is resolved; with one cohort at once."""
        if len(self._cohorts) == 1:
            self._join(request)
        else:
            request.cohort = self._joining
            self._joining.append(request)
            self._joining_steps.append(step_id)

    def remove(self, request: Request) -> None:
        """Take out a request that no longer decodes."""
        cohort = request.cohort
        assert cohort is not None
        if cohort is self._joining:
            del self._joining_steps[cohort.index(request)]
        cohort.remove(request)
        request.cohort = None

    def _join(self, request: Request) -> None:
        request.cohort = min(self._cohorts, key=len)
        request.cohort.append(request)

    def _share_out(self, cohort: list[Request]) -> None:
        """If a cohort has grown too large, move rows from it to the smallest cohort. None of its rows is in flight."""
        smallest = min(self._cohorts, key=len)
        while len(cohort) > len(smallest) + 1:
            request = cohort.pop()
            request.cohort = smallest
            smallest.append(request)
