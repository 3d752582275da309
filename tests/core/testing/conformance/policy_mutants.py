"""Policies with one planted fault each."""

import itertools

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


class Word(SchedulingPolicy):
    def admission_key(self, request):
        return (request.salt, request.arrival)


class Bare(SchedulingPolicy):
    def admission_key(self, request):
        return request.arrival


class Meddler(SchedulingPolicy):
    def admission_key(self, request):
        request.priority = 0
        return (request.arrival,)


class Fragile(SchedulingPolicy):
    def admission_key(self, request):
        return (request.arrival / request.num_output_tokens,)


class PreemptionWithoutOrder(SchedulingPolicy):
    def admission_key(self, request):
        return (request.arrival,)

    def preemption_key(self, request):
        return None
