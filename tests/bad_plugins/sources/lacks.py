"""Needs what is not installed."""

import acme_runtime_that_nobody_has  # noqa: F401
