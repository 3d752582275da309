"""Has no key for the second request."""
# kind: schedulers

from jackfield.interfaces.policy import SchedulingPolicy


class Bad(SchedulingPolicy):
    """First come, first served, most of the time."""

    def admission_key(self, request):
        """Sulk once."""
        if request.arrival == 1:
            raise RuntimeError("not this one")
        return (request.arrival,)
