"""The only module that reads the process environment."""

from __future__ import annotations

import os
from pathlib import Path

PREFIX = "JACKFIELD_"
CONFIG_FILE = "JACKFIELD_CONFIG"  # a TOML file, if no other is named
PLUGINS = "JACKFIELD_PLUGINS"  # comma list like plugins.allow; "none": only first-party plugins
CACHE_FOLDER = "JACKFIELD_CACHE"  # folder of downloads
# The key that clients of a server must send. It is no setting, so that nothing prints it.
API_KEY = "JACKFIELD_API_KEY"
DEFAULT_CACHE_FOLDER = "~/.cache/jackfield"
LOCK_FILE = "jackfield.lock"  # in the current folder, if the settings name no other


def jackfield_variables() -> dict[str, str]:
    """All variables of the process that begin with JACKFIELD_, by name."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(PREFIX) and name != API_KEY
    }


# Other variables that decide which devices a process sees, and which libraries it loads.
_DEVICE_PREFIXES = (
    *("CUDA_", "NVIDIA_"),
    *("HIP_", "ROCR_", "HSA_", "GPU_DEVICE_ORDINAL"),
    *("ZE_", "ONEAPI_", "SYCL_"),
    *("TPU_", "JAX_", "XLA_", "PJRT_"),
    *("ASCEND_", "HABANA_", "HL_", "MLU_", "MUSA_", "NEURON_"),
    "ATEN_",
    "LD_LIBRARY_PATH",
)


def device_variables() -> dict[str, str]:
    """Variables of the process that change the findings of a probe, by name."""
    return {name: value for name, value in os.environ.items() if name.startswith(_DEVICE_PREFIXES)}


def api_key() -> str | None:
    """The key that clients of a server must send: $JACKFIELD_API_KEY, if it is set."""
    return os.environ.get(API_KEY) or None


def client_api_key() -> str | None:
    """The key to send to a server: $JACKFIELD_API_KEY, otherwise the variable of OpenAI's own clients."""
    return api_key() or os.environ.get("OPENAI_API_KEY") or None


def cache_folder() -> Path:
    """The folder of downloads: $JACKFIELD_CACHE, or ~/.cache/jackfield. It may not exist yet."""
    return Path(os.environ.get(CACHE_FOLDER) or DEFAULT_CACHE_FOLDER).expanduser()
