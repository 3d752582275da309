"""Conformance kits: the duties of a plugin, as tests that its author runs. Needs pytest.

A kit is a class of tests. A plugin's whole test file is a subclass that names the plugin:

    class TestMine(SchedulingPolicyKit):
        name = "mine"
"""
