"""Public interfaces as files: what a module promises, and which changes break a promise.

A snapshot is a stub without bodies and comments. It is read from the source without importing it, so that a runtime's
tensor library need not be installed. `python -m jackfield_testing.interfaces` compares the sources with the snapshots
in `docs/interfaces`; `--write` updates them. Others with contracts of their own can do the same in their
repositories.
"""
