"""Reads address 0 when it is imported, whatever kind of plugin it is."""

import ctypes

ctypes.string_at(0)
