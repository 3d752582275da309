"""Makes stand-ins importable, for libraries that run on accelerators only. A kit finds its card by a module's name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "fakes"))
