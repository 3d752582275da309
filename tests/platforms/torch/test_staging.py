"""Memory that the host and the device hand to each other."""

import torch

from jackfield_torch.device import Device
from jackfield_torch.staging import Slot, StagingRing


class Host(Device):
    name = "cpu"

    def cache_bytes(self, settings, useful_bytes):
        return useful_bytes


class Passed:
    def __init__(self):
        self.num_waits = 0

    def wait(self):
        self.num_waits += 1


def test_tensors_come_to_the_host_as_they_were_however_many_they_are():
    slot = Slot(Host(), 16)
    tensors = [
        torch.arange(5),
        torch.rand(3, 2),
        torch.zeros(0),
        torch.arange(90, dtype=torch.int32),
    ]

    arrays = [slot.read(tensor) for tensor in tensors]

    for array, tensor in zip(arrays, tensors, strict=True):
        assert torch.equal(torch.from_numpy(array), tensor)


def test_a_slot_comes_again_only_when_its_event_has_passed():
    ring, event = StagingRing(Host(), 2, 16), Passed()
    first = ring.take()
    first.event = event
    ring.take()
    assert not event.num_waits

    assert ring.take() is first
    assert (event.num_waits, first.event) == (1, None)


def test_results_in_a_slot_are_read_before_it_comes_again():
    ring, found = StagingRing(Host(), 1, 16), []
    slot = ring.take()
    array = slot.read(torch.tensor([7]))
    slot.finish = lambda: found.append(array.tolist())

    ring.take().read(torch.tensor([8]))

    assert found == [[7]]
