"""Public interfaces as files: what a module promises, and which changes of it break a promise.

A snapshot is a stub without bodies and comments, read from the source without importing it, so that a runtime's tensor
library need not be installed. `python -m jackfield_testing.interfaces` compares the sources with the snapshots in
`docs/interfaces`, `--write` refreshes them. A vendor with contracts of his own does the same in his repository.
"""
