"""The cache folder comes from one variable."""

from pathlib import Path

from jackfield.environment import cache_folder, jackfield_variables


def test_downloads_are_kept_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("JACKFIELD_CACHE", str(tmp_path))

    assert cache_folder() == tmp_path


def test_downloads_are_kept_in_the_home_folder_by_default(monkeypatch):
    monkeypatch.delenv("JACKFIELD_CACHE", raising=False)

    assert cache_folder() == Path.home() / ".cache" / "jackfield"


def test_only_our_variables_are_read(monkeypatch):
    monkeypatch.setenv("JACKFIELD_MODEL_SEED", "1")
    monkeypatch.setenv("OTHER_MODEL_SEED", "2")

    assert jackfield_variables()["JACKFIELD_MODEL_SEED"] == "1"
    assert "OTHER_MODEL_SEED" not in jackfield_variables()
