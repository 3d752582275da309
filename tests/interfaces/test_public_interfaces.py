"""The public interfaces are what their snapshots say. `make snapshots` refreshes these after an addition."""

import tomllib
from pathlib import Path

from jackfield.discovery.kinds import CORE_KINDS
from jackfield_testing.interfaces.snapshots import compare, read_snapshots, read_sources

FOLDER = Path(__file__).parents[2] / "docs" / "interfaces"


def contracts(package):
    return set(tomllib.loads((FOLDER / "contracts.toml").read_text())[package]["contracts"])


def test_no_public_interface_has_changed_since_its_snapshot():
    report = compare(read_snapshots(FOLDER), read_sources(FOLDER))

    assert report.is_clean, f"run `make snapshots` if nothing BREAKS:\n{report}"


def test_every_contract_that_the_core_serves_has_its_modules():
    served = {f"{kind.name}.v{major}" for kind in CORE_KINDS.values() for major in kind.majors}

    assert contracts("jackfield") == served


def test_every_contract_that_the_torch_runtime_serves_has_its_modules():
    from jackfield_torch.platform import TorchPlatform  # imports no torch

    served = {
        f"{kind}.v{major}" for kind, majors in TorchPlatform.serves.items() for major in majors
    }

    assert contracts("jackfield_torch") == served
