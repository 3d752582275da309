"""What the card of ROCm says of saved facts, and what it asks AMD's driver."""

import sys
from types import ModuleType

import pytest

from jackfield.interfaces.platform import PlatformNeed
from jackfield_rocm.card import NoCard, card_facts, visible_cards
from jackfield_rocm.chips import architecture
from jackfield_rocm.platform import RocmPlatform
from jackfield_testing.models import tiny_spec

MI300X = {
    "device": "cuda",
    "name": "AMD Instinct MI300X",
    "count": 8,
    "architecture": "gfx942",
    "total_bytes": 206_141_652_992,
    "available_bytes": 205_000_000_000,
    "driver": "6.12.12",
    "torch": "2.11.0+rocm7.0",
    "torch_hip": "7.0.51831",
    "triton": "3.6.0",
}


def texts(facts, **need):
    wanted = PlatformNeed(model=tiny_spec(), dtype="bfloat16", **need)
    return [str(reason) for reason in RocmPlatform().check(wanted, {**MI300X, **facts})]


@pytest.mark.parametrize("chip", ["gfx90a", "gfx942", "gfx950"])
def test_chips_that_kernels_were_compiled_for_are_not_refused(chip):
    assert texts({"architecture": chip}) == []


@pytest.mark.parametrize(
    ("facts", "need", "text"),
    [
        ({"no_card": "amdsmi is not installed"}, {}, "amdsmi is not installed"),
        ({"torch": "2.11.0", "torch_hip": ""}, {}, "torch 2.11.0 was built without ROCm"),
        ({"architecture": "gfx1100"}, {}, "is gfx1100; kernels are compiled for gfx90a, gfx942"),
        ({"count": 1}, {"num_ranks": 2}, "2 ranks need as many cards, 1 visible"),
    ],
)
def test_what_does_not_serve_is_named(facts, need, text):
    assert any(text in one for one in texts(facts, **need))


class Smi(ModuleType):
    """amdsmi 7.0.2, as far as it is asked, on a machine with two cards."""

    class AmdSmiException(Exception):
        pass

    def __init__(self):
        super().__init__("amdsmi")
        self.is_open = False

    def amdsmi_init(self):
        self.is_open = True

    def amdsmi_shut_down(self):
        self.is_open = False

    def amdsmi_get_processor_handles(self):
        assert self.is_open
        return [0, 1]

    def amdsmi_get_gpu_asic_info(self, handle):
        return {
            "market_name": f"AMD Instinct MI300X {handle}",
            "vendor_name": "Advanced Micro Devices Inc. [AMD/ATI]",
            "num_compute_units": 304,
            "target_graphics_version": "gfx942",
        }

    def amdsmi_get_gpu_vram_usage(self, handle):
        return {"vram_total": 196592, "vram_used": 592}

    def amdsmi_get_gpu_driver_info(self, handle):
        return {"driver_name": "amdgpu", "driver_version": "6.12.12", "driver_date": "N/A"}


@pytest.fixture
def smi(monkeypatch):
    found = Smi()
    monkeypatch.setitem(sys.modules, "amdsmi", found)
    for variable in ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(variable, raising=False)
    return found


def test_the_first_visible_card_is_described(smi, monkeypatch):
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "1")

    facts = card_facts()

    assert (facts["name"], facts["count"]) == ("AMD Instinct MI300X 1", 1)
    assert facts["architecture"] == "gfx942"
    assert facts["available_bytes"] == 196_000 << 20
    assert not smi.is_open


def test_a_driver_that_does_not_answer_is_a_sentence(smi, monkeypatch):
    def fail():
        raise smi.AmdSmiException("AMDSMI_STATUS_DRIVER_NOT_LOADED")

    monkeypatch.setattr(smi, "amdsmi_init", fail)

    with pytest.raises(NoCard, match="no AMD driver answers .*DRIVER_NOT_LOADED.*install ROCm"):
        card_facts()


def test_no_card_is_left_by_a_variable(smi, monkeypatch):
    monkeypatch.setenv("ROCR_VISIBLE_DEVICES", "7")

    with pytest.raises(NoCard, match="sees 2 cards: ROCR_VISIBLE_DEVICES='7' leaves none"):
        card_facts()


def test_amdsmi_without_its_library_is_a_sentence(monkeypatch):
    def missing(name):
        raise KeyError("libamd_smi.so")

    monkeypatch.setattr("jackfield_rocm.card.importlib.import_module", missing)

    with pytest.raises(NoCard, match="finds no ROCm library"):
        card_facts()


def test_a_machine_without_amdsmi_has_no_card():
    if "amdsmi" in sys.modules:
        pytest.skip("amdsmi is here")
    assert "no_card" in RocmPlatform().probe()


@pytest.mark.parametrize(
    ("visible", "cards"), [(None, [4, 5, 6]), ("2,0", [6, 4]), ("0,9,1", [4]), ("", [])]
)
def test_a_variable_picks_cards_by_their_place(visible, cards):
    assert visible_cards([4, 5, 6], visible) == cards


def test_features_of_a_target_are_no_part_of_its_architecture():
    assert architecture("gfx942:sramecc+:xnack-") == "gfx942"
