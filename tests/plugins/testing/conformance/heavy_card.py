"""A card whose module imports what it must not, under the name of a library that takes no time here."""

import sys
import types

from jackfield.interfaces.policy import SchedulingPolicy

for name in ("transformers", "pynvml"):
    sys.modules.setdefault(name, types.ModuleType(name))


class Heavy(SchedulingPolicy):
    def admission_key(self, request):
        return (request.arrival,)
