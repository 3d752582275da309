"""Cards with one planted fault each; as policies, since these ask nothing else of a card."""

import itertools
import sys
import types
from dataclasses import dataclass

from jackfield.decision import Reason
from jackfield.interfaces.policy import SchedulingPolicy


class Sound(SchedulingPolicy):
    def admission_key(self, request):
        return (request.arrival,)


class OpaqueFacts(Sound):
    def probe(self):
        return {"sizes": [1, 2]}


class RestlessFacts(Sound):
    _count = itertools.count()

    def probe(self):
        return {f"fact {next(self._count)}": 1}


class Elsewhere(Sound):
    def probe(self):
        raise OSError("no such device")


class Moody(Sound):
    _count = itertools.count()

    def check(self, need, facts):
        return (Reason("mood", "not today"),) if next(self._count) % 2 else ()


class Misspelling(Sound):
    features = frozenset({"sampling.top_kk"})


@dataclass
class Changeable:
    size: int = 1


class Importing(Sound):
    """Its check imports a tensor library, which its probe imported already where that ran first."""

    def probe(self):
        sys.modules.setdefault("mlx", types.ModuleType("mlx"))
        return {}

    def check(self, need, facts):
        sys.modules.setdefault("mlx", types.ModuleType("mlx"))
        return ()


class Remembering(Sound):
    """Its check says what its probe saw, and not the facts."""

    seen = False

    def probe(self):
        Remembering.seen = True
        return {}

    def check(self, need, facts):
        return () if self.seen else (Reason("device", "none was seen"),)
