"""Builds the kernel. Without a compiler the package installs all the same, and weights are dequantised for each call."""

from pathlib import Path

from setuptools import Extension, setup

# What lets loops become vectors, and no more: -ffast-math would drop NaN, which must reach the logits to be noticed,
# and makes older linkers switch off subnormal numbers for the whole process.
_FLAGS = (
    "-std=c++17 -O2 -ftree-vectorize -fpeel-loops -funroll-loops "
    "-fassociative-math -fno-signed-zeros -fno-trapping-math -fno-math-errno"
)

setup(
    ext_modules=[
        Extension(
            "jackfield_compact._multiply",
            sorted(map(str, Path("native").glob("*.cpp"))),
            depends=sorted(map(str, Path("native").glob("*.h"))),
            language="c++",
            extra_compile_args=_FLAGS.split(),
            py_limited_api=True,  # it uses nothing of Python: one wheel serves every version
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
