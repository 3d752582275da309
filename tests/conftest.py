"""What all tests share: which of them are skipped by default, and how to ask for them."""

import pytest

OPTIONAL = {
    "gpu": "needs an accelerator",
    "slow": "takes minutes or a large download",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--optional",
        action="store_true",
        help=f"also run the tests marked {' or '.join(OPTIONAL)}, which are skipped by default",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--optional"):
        return
    for item in items:
        for marker, reason in OPTIONAL.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=f"{marker}: {reason}; run with --optional"))
