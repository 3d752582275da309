"""The limits of a container are found in both versions of control groups, however they are nested."""

import pytest

from jackfield_cpu.cgroups import Cgroups

GIB = 1 << 30
NOTHING = "9223372036854771712"  # what version 1 says where there is no limit


@pytest.fixture
def groups(tmp_path):
    """Cgroups of a folder that stands in for /sys/fs/cgroup, with the files that are given."""

    def make(own, files):
        (tmp_path / "own").write_text(own)
        for name, text in files.items():
            path = tmp_path / "root" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        return Cgroups(tmp_path / "root", tmp_path / "own")

    return make


def test_version_1_is_read_where_the_group_is(groups):
    found = groups(
        "9:name=systemd:/\n4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n0::/\n",
        {
            "memory/memory.limit_in_bytes": NOTHING,
            "memory/memory.usage_in_bytes": GIB,
            "memory/docker/abc/memory.limit_in_bytes": 2 * GIB,
            "memory/docker/abc/memory.usage_in_bytes": GIB,
            "memory/docker/abc/memory.stat": f"cache 5\ntotal_inactive_file {GIB // 4}",
            "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": 150000,
            "cpu,cpuacct/docker/abc/cpu.cfs_period_us": 100000,
        },
    )

    assert found.free_bytes() == GIB + GIB // 4
    assert found.cores() == 1.5


def test_version_1_inside_a_container_is_the_mount_itself(groups):
    """There the path in /proc is that of the host."""
    files = {"memory/memory.limit_in_bytes": 3 * GIB, "memory/memory.usage_in_bytes": GIB}

    assert groups("4:memory:/docker/abc\n", files).free_bytes() == 2 * GIB


def test_of_nested_groups_of_version_2_the_tightest_counts(groups):
    found = groups(
        "0::/slice/service\n",
        {
            "slice/memory.max": 2 * GIB,
            "slice/memory.current": GIB,
            "slice/cpu.max": "400000 100000",
            "slice/service/memory.max": "max",
            "slice/service/memory.current": GIB // 2,
            "slice/service/cpu.max": "200000 100000",
        },
    )

    assert found.free_bytes() == GIB
    assert found.cores() == 2


def test_without_limits_nothing_is_said(groups):
    files = {"memory.max": "max", "memory.current": 5, "cpu.max": "max 100000"}

    assert groups("0::/\n", files).free_bytes() is None
    assert groups("0::/\n", files).cores() is None
    assert groups("", {}).free_bytes() is None
