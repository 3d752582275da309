"""Packages as a model source pass the kit, with a folder of wheels for an index."""

from jackfield_model_packages.testing import PackageKit


class TestPackages(PackageKit): ...
