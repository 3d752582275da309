"""Builds the native operations. Without a compiler the package is installed without them, and torch's operations serve."""

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
            "jackfield_cpu._operations",
            sorted(map(str, Path("native").glob("*.cpp"))),
            depends=sorted(map(str, Path("native").glob("*.h"))),
            language="c++",
            extra_compile_args=_FLAGS.split(),
            py_limited_api=True,  # the operations use no Python, so one wheel serves every version
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
