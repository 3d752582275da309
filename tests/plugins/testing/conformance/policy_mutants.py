"""Policies with one planted fault each."""

import itertools
import time

from jackfield.interfaces.policy import SchedulingPolicy


class Sound(SchedulingPolicy):
    def admission_key(self, request):
        return (request.priority, request.arrival)


class LastComeFirstServed(SchedulingPolicy):
    def admission_key(self, request):
        return (-request.arrival,)


class Restless(SchedulingPolicy):
    _count = itertools.count()

    def admission_key(self, request):
        return (next(self._count),)


class NotANumber(SchedulingPolicy):
    def admission_key(self, request):
        return (float("nan") if request.salt else 0.0, request.arrival)


class Unequal(SchedulingPolicy):
    def admission_key(self, request):
        return (request.arrival,) if request.priority else (request.arrival, 1)


class Bare(SchedulingPolicy):
    def admission_key(self, request):
        return request.arrival


class Fragile(SchedulingPolicy):
    def admission_key(self, request):
        return (request.arrival / request.num_output_tokens,)


class WrappingSixteenBits(SchedulingPolicy):
    def admission_key(self, request):
        return (request.arrival & 0xFFFF,)


class Clock(SchedulingPolicy):
    """Ages by the clock."""

    def admission_key(self, request):
        return (request.arrival - int(time.time() // 60),)


class Slow(SchedulingPolicy):
    def admission_key(self, request):
        time.sleep(0.02)
        return (request.arrival,)


class EvictsOldest(SchedulingPolicy):
    def admission_key(self, request):
        return (request.arrival,)

    def preemption_key(self, request):
        return (-request.arrival,)


class Shortest(SchedulingPolicy):
    """Sound: whom it lets wait for ever is of another sort."""

    def admission_key(self, request):
        return (request.num_prompt_tokens, request.arrival)
