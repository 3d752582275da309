"""What a distribution consists of is read from the hashes that its wheel brought."""

import base64
import hashlib
import json

import pytest

from jackfield.discovery.content import fingerprint

FILES = {"acme_model.py": "build = None\n", "acme_data.txt": "data\n"}


def stated(text):
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@pytest.fixture
def install(distributions):
    """Install acme with a RECORD, as pip does; returns its folder."""

    def install(files=FILES, *, rows=(), origin=None):
        folder = distributions.add("acme", {"jackfield.models.v1": {"Tiny": "acme_model:build"}})
        (info,) = folder.glob("*.dist-info")
        for name, text in files.items():
            (folder / name).write_text(text)
        lines = [f"{name},{stated(text)},{len(text)}" for name, text in files.items()]
        (info / "RECORD").write_text("\n".join([*lines, f"{info.name}/RECORD,,", *rows]))
        if origin:
            (info / "direct_url.json").write_text(json.dumps(origin))
        return folder

    return install


def test_equal_wheels_have_equal_digests_wherever_and_however_they_were_installed(install):
    install()
    first = fingerprint("acme")
    install(
        rows=[
            "acme-1.0.dist-info/INSTALLER,sha256=other,3",
            "acme-1.0.dist-info/direct_url.json,sha256=other,3",
            "../../bin/acme,sha256=names_the_interpreter,3",
            "__pycache__/acme_model.cpython-311.pyc,,",
        ]
    )

    assert fingerprint("acme") == first != ""


def test_another_content_of_the_same_version_has_another_digest(install):
    install()
    first = fingerprint("acme")
    install({**FILES, "acme_model.py": "build = print\n"})

    assert fingerprint("acme") != first


def test_an_editable_install_states_no_content(install):
    install(origin={"url": "file:///there", "dir_info": {"editable": True}})

    assert fingerprint("acme") == ""


def test_an_install_without_record_states_no_content(distributions):
    distributions.add("acme", {})

    assert fingerprint("acme") == ""
