"""A plugin's author gets it as an engine does."""

import pytest

from jackfield.errors import PluginNotFound
from jackfield_testing.plugins import load_plugin


def test_a_plugin_comes_through_its_entry_point(distributions):
    card = "from jackfield.interfaces.card import Card\nclass Kernel(Card): ..."
    platform = """
        from jackfield.interfaces.platform import Platform
        class Acme(Platform):
            serves = {"jackfield_acme.kernels": (1,)}
            def choices(self, spec, config, facts): return ()
            def create_worker(self, context): ...
    """
    groups = {
        "jackfield.platforms.v1": {"acme": "acme_platform:Acme"},
        "jackfield_acme.kernels.v1": {"fast": "acme_kernel:Kernel"},
    }
    modules = {"acme_platform": platform, "acme_kernel": card}
    distributions.add("acme", groups, modules=modules)

    assert type(load_plugin("jackfield_acme.kernels", "fast")).__name__ == "Kernel"
    assert type(load_plugin("jackfield.platforms", "acme")).__name__ == "Acme"


def test_a_plugin_that_is_not_installed_is_an_error():
    with pytest.raises(PluginNotFound, match="no scheduling policy 'acme'"):
        load_plugin("jackfield.schedulers", "acme")
