"""A fingerprint follows contents, and files that were not touched are not read again."""

import os

import pytest

from financial_model.datasets import fingerprint


@pytest.fixture
def files(tmp_path):
    paths = {name: tmp_path / f"{name}.csv" for name in ("a", "b")}
    for name, path in paths.items():
        path.write_text(f"bars of {name}")
        os.utime(path, ns=(10**18, 10**18))
    return paths


def hashes(files, tmp_path):
    return {name: entry["hash"] for name, entry in fingerprint.file_hashes(files, tmp_path / "panels" / "hashes.json").items()}


def test_contents_count_and_dates_do_not(files, tmp_path):
    before = hashes(files, tmp_path)
    os.utime(files["a"])
    assert hashes(files, tmp_path) == before
    files["a"].write_text("bars of A")  # the same length
    after = hashes(files, tmp_path)
    assert after["a"] != before["a"] and after["b"] == before["b"]


def test_untouched_files_are_not_read_again(files, tmp_path, monkeypatch):
    before, read = hashes(files, tmp_path), []
    real = fingerprint.content_hash
    monkeypatch.setattr(fingerprint, "content_hash", lambda path: read.append(path.name) or real(path))
    assert hashes(files, tmp_path) == before and read == []
    files["b"].write_text("more bars of b")
    assert hashes(files, tmp_path)["b"] != before["b"] and read == ["b.csv"]


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"x": 3}', '{"x": {"size": 1}}'])
def test_a_damaged_memory_only_costs_time(files, tmp_path, content):
    before = hashes(files, tmp_path)
    (tmp_path / "panels" / "hashes.json").write_text(content)
    assert hashes(files, tmp_path) == before


def test_missing_files_are_left_out(files, tmp_path):
    files["a"].unlink()
    assert set(hashes(files, tmp_path)) == {"b"}


def test_combined_does_not_depend_on_the_order_of_keys():
    assert fingerprint.combined({"a": 1, "b": [2]}) == fingerprint.combined({"b": [2], "a": 1}) != fingerprint.combined({"a": 1, "b": [3]})


def test_code_counts_by_name_and_content(tmp_path):
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("x = 1")
    two.write_text("x = 1")
    assert fingerprint.code_hash([one]) != fingerprint.code_hash([two])
    before = fingerprint.code_hash([one, two])
    assert fingerprint.code_hash([two, one, one]) == before
    one.write_text("x = 2")
    assert fingerprint.code_hash([one, two]) != before
