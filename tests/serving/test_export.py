"""CSV that opens in Excel in Chinese, and in which no name can be a formula."""

import io

import pandas as pd
import pytest

from financial_model.errors import StorageError
from financial_model.serving.export import csv_bytes, write_csv


def read(frame):
    return pd.read_csv(io.BytesIO(csv_bytes(frame)), encoding="utf-8-sig", dtype=str, keep_default_na=False)


def test_it_begins_with_a_byte_order_mark():
    assert csv_bytes(pd.DataFrame({"name": ["贵州茅台"]})).startswith("\ufeffname\r\n贵州茅台".encode())


@pytest.mark.parametrize("text", ['=HYPERLINK("http://x")', "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1"])
def test_text_that_a_spreadsheet_would_run_becomes_text(text):
    found = read(pd.DataFrame({"name": [text], "x": [1]}))
    assert found["name"][0].startswith("'")


def test_a_column_name_is_text_too():
    assert read(pd.DataFrame({"=1+1": [1]})).columns[0] == "'=1+1"


def test_numbers_stay_numbers_also_negative_ones():
    frame = pd.DataFrame({"gain": [-0.5, 1.25], "flag": [True, False]})
    assert read(frame)["gain"].tolist() == ["-0.5", "1.25"]


def test_names_that_only_contain_such_letters_stay_as_they_are():
    assert read(pd.DataFrame({"name": ["A-B", "*ST-1", "x=1", "600519.SH"]}))["name"].tolist() == ["A-B", "*ST-1", "x=1", "600519.SH"]


def test_a_file_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(StorageError):
        write_csv(pd.DataFrame({"a": [1]}), tmp_path / "folder" / "x.csv")
