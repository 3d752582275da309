"""A card whose module imports what it must not, under the name of a library that takes no time here."""

import sys
import types

from jackfield.interfaces.policy import SchedulingPolicy

sys.modules.setdefault("transformers", types.ModuleType("transformers"))


class Heavy(SchedulingPolicy):
    def admission_key(self, request):
        return (request.arrival,)
