"""A hook of mkdocs: writes a page for each public module, which mkdocstrings fills from the docstrings.

`docs/interfaces/contracts.toml` lists the public modules and the contracts that each of them belongs to.
"""

from __future__ import annotations

import ast
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from jackfield_testing.interfaces.snapshots import read_sources

FOLDER = "interfaces"
SECTION = "Interfaces"  # section of the navigation


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages in the navigation, a section for each package."""
    packages: dict[str, list[dict[str, str]]] = {}
    for module in read_sources(Path(config.docs_dir) / FOLDER):
        package, _, rest = module.partition(".")
        packages.setdefault(package, []).append({rest or package: f"{FOLDER}/{module}.md"})
    for entry in config.nav or ():
        if SECTION in entry:
            entry[SECTION] = [{package: pages} for package, pages in packages.items()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages. None of them is a file on the disk."""
    for module, snapshot in read_sources(Path(config.docs_dir) / FOLDER).items():
        contracts = ", ".join(f"`{contract}`" for contract in snapshot.contracts)
        page = f"# `{module}`\n\nPart of: {contracts}\n\n::: {module}\n{_handed_on(snapshot.stub)}"
        files.append(File.generated(config, f"{FOLDER}/{module}.md", content=page))
    return files


def _handed_on(stub: str) -> str:
    """A Markdown list of the names that a module re-exports: `from home import name as name`."""
    lines = [
        f"- `{name.name}`, of `{node.module}`"
        for node in ast.parse(stub).body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        if name.name == name.asname
    ]
    return "\n".join(["\nAlso to be imported from here:\n", *lines, ""]) if lines else ""
