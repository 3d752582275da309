"""Checks that a built site needs no network. Prints what a page would fetch from elsewhere; status 1 if there is anything.

python tools/is_offline_site.py build/site
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

# What a browser fetches by itself; a link that the reader clicks (<a href>) may lead anywhere.
_FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|@import\s+(?:url\()?["']?((?:https?:)?//[^"')\s]+)"""
    r"""|url\(["']?((?:https?:)?//[^"')]+)"""
)
_NOT_FETCHED = re.compile(r"""<link\b[^>]*\brel=["']?(?:canonical|prev|next|edit)\b[^>]*>""")


def fetched(text: str) -> list[str]:
    """Addresses of other hosts that a page or a style sheet loads."""
    found = _FETCHED.finditer(_NOT_FETCHED.sub("", text))
    return [next(group for group in match.groups() if group) for match in found]


def main(site: Path) -> int:
    """Look through all pages and style sheets."""
    files = [*site.rglob("*.html"), *site.rglob("*.css")]
    if not files:
        print(f"{site} holds no page")
        return 1
    found = [(file, url) for file in files for url in fetched(file.read_text(encoding="utf-8"))]
    for file, url in found:
        print(f"{file.relative_to(site)} loads {url}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
