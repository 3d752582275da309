"""A second major of the scheduling policies, as a later core might have it: a method renamed, one added."""

from abc import abstractmethod

from jackfield.discovery.kinds import SCHEDULERS, Kind
from jackfield.interfaces.adapter import AdaptedCard, Adapter
from jackfield.interfaces.card import Card
from jackfield.interfaces.policy import SchedulingPolicy


class PolicyV2(Card):
    @abstractmethod
    def waiting_key(self, request):
        """What v1 calls the admission key."""

    @abstractmethod
    def running_key(self, request):
        """What v1 calls the preemption key."""

    @abstractmethod
    def boost(self, request):
        """New: a request with a boost goes before all without one."""


class PolicyOfV1(AdaptedCard, PolicyV2):
    def waiting_key(self, request):
        return self.old.admission_key(request)

    def running_key(self, request):
        return self.old.preemption_key(request)

    def boost(self, request):
        return 0  # v1 cannot say it


ADAPTER = Adapter(
    adapt=PolicyOfV1,
    base=SchedulingPolicy,
    deprecated_since="jackfield 0.3",
    removed_in="jackfield 0.5",
)
KIND = Kind(
    name=SCHEDULERS,
    word="scheduling policy",
    majors=(1, 2),
    base=PolicyV2,
    adapters={1: ADAPTER},
)
NOTICE = "v1, served by an adapter, deprecated since jackfield 0.3, removed in jackfield 0.5"


class SpeaksV2(SchedulingPolicy):
    """What the scheduler of that later core asks, in the words of today's scheduler."""

    def __init__(self, policy):
        assert isinstance(policy, PolicyV2)
        self._policy = policy

    def admission_key(self, request):
        return (-self._policy.boost(request), *self._policy.waiting_key(request))

    def preemption_key(self, request):
        return self._policy.running_key(request)
