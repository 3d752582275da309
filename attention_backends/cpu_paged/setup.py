"""Builds the kernel. Without a compiler the package is installed without it, and its card refuses with the remedy."""

from pathlib import Path

from setuptools import Extension, setup

# These flags let loops become vectors, and nothing else. -ffast-math would drop NaN, which must reach the logits to be
# noticed, and with older linkers it disables subnormal numbers for the whole process.
_FLAGS = (
    "-std=c++17 -O2 -ftree-vectorize -fpeel-loops -funroll-loops "
    "-fassociative-math -fno-signed-zeros -fno-trapping-math -fno-math-errno"
)

setup(
    ext_modules=[
        Extension(
            "jackfield_cpu_paged._decode",
            sorted(map(str, Path("native").glob("*.cpp"))),
            depends=sorted(map(str, Path("native").glob("*.h"))),
            language="c++",
            extra_compile_args=_FLAGS.split(),
            py_limited_api=True,  # the kernel uses no Python, so one wheel serves every version
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
