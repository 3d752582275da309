"""Fail unless every Jackfield distribution of this environment is a built wheel, not an editable checkout."""

import json
import sys
from importlib.metadata import distributions

found = {dist.name: dist for dist in distributions() if dist.name.startswith("jackfield")}
editable = [
    name
    for name, dist in found.items()
    if json.loads(dist.read_text("direct_url.json") or "{}").get("dir_info", {}).get("editable")
]
if editable or "jackfield" not in found:
    sys.exit(f"not a clean install: found {sorted(found)}, editable {sorted(editable)}")
print(f"{len(found)} distributions installed from wheels, in {sys.prefix}")
