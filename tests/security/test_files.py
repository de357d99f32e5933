"""What comes in as a file is bounded before it is opened, and what goes out cannot act in a spreadsheet."""

import ast
import csv
import io
import json
import pickle
import re
import struct
import zipfile
from pathlib import Path

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

import financial_model
from financial_model.errors import CheckpointError, DataError
from financial_model.evaluation.performance import trades_csv
from financial_model.market.sources import bounds
from financial_model.market.sources.tables import read_table
from financial_model.market.store import Store
from financial_model.serving.export import csv_bytes
from financial_model.serving.orders import CSV_COLUMNS
from financial_model.serving.predictor import Predictor
from financial_model.serving.runs import RunStore
from financial_model.training import container
from tests.serving.builders import tiny

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|'/C calc'!A0", "  =1")
PACKAGE = Path(financial_model.__file__).parent


# ---------------------------------------------------------------- checkpoints
class Bomb:
    def __reduce__(self):
        return (Path.write_text, (Path("exploded"), "x"))


def fakes() -> dict[str, bytes]:
    """Files called ``best.safetensors`` that are something else, or lie about their length."""
    header = b'{"__metadata__":{}}'
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(Bomb()))
    return {
        "pickle": pickle.dumps(Bomb()), "torch": packed.getvalue(), "empty": b"", "huge header": struct.pack("<Q", 1 << 62) + b"{",
        "long header": struct.pack("<Q", container.HEADER_LIMIT + 1) + b"{" + b" " * 100, "cut off": struct.pack("<Q", 1000) + header,
        "deep": struct.pack("<Q", 200_001) + b"{" + b"[" * 200_000, "not ours": struct.pack("<Q", len(header)) + header,
        "beyond its end": struct.pack("<Q", 75) + b'{"a":{"dtype":"F32","shape":[9999999999],"data_offsets":[0,39999999996]}}  '[:75],
    }


@pytest.mark.parametrize("name", fakes())
def test_a_disguised_or_lying_checkpoint_is_refused_unopened(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "best.safetensors"
    path.write_bytes(fakes()[name])
    with pytest.raises(CheckpointError):
        financial_model.load(path)
    assert not (tmp_path / "exploded").exists()


def test_a_run_with_a_disguised_checkpoint_answers_with_a_sentence(target, tmp_path):
    runs: RunStore = target.served.services.runs
    run = runs.create(tiny("fake"), state="stopped")
    (run.path / "best.safetensors").write_bytes(pickle.dumps(Bomb()))
    try:
        with target.http() as client:
            reply = client.post("/api/v1/predict", json={"run": run.id, "symbol": "600519"})
        assert reply.status_code == 422 and reply.json()["error"] == "checkpoint.pickle"
    finally:
        runs.delete(run.id)


# ---------------------------------------------------------------- tables
def test_a_workbook_that_unpacks_without_end_is_not_opened(tmp_path, monkeypatch):
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b" " * 3_000_000)
    monkeypatch.setattr(bounds, "SHEET", 1_000_000)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert caught.value.key == "import.sheet_too_large"


def test_a_parquet_file_of_countless_equal_rows_is_not_opened(tmp_path, monkeypatch):
    path = tmp_path / "bomb.parquet"
    pyarrow.parquet.write_table(pa.table({"close": pa.array([1.0]).take(pa.array([0] * 200_000))}), path)
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(bounds, "CELLS", 100_000)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert caught.value.key == "import.table_too_large"


@pytest.mark.parametrize(("cell", "known"), [("XFD100000", ""), ("B100000", ""), ("B2", '<dimension ref="A1:XFD1048576"/>')])
def test_one_cell_far_out_does_not_make_a_small_workbook_a_huge_table(tmp_path, cell, known):
    """Every row was filled up to the longest one: from the last possible cell 17 thousand million cells, from a file of one kilobyte."""
    path = tmp_path / "far.xlsx"
    book = openpyxl.Workbook()
    book.active.append(["date", "close"])
    book.save(path)
    row = int(cell.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    sheet = members["xl/worksheets/sheet1.xml"].decode()
    sheet = re.sub("<dimension[^>]*>", known, sheet).replace("</sheetData>", f'<row r="{row}"><c r="{cell}"><v>1</v></c></row></sheetData>')
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, sheet if name == "xl/worksheets/sheet1.xml" else content)
    if cell.startswith("XFD"):
        with pytest.raises(DataError) as caught:
            read_table(path)
        assert caught.value.key == "import.table_too_large"
    else:
        assert len(read_table(path).headers) == 2


def test_a_parquet_file_that_refers_to_one_long_text_again_and_again_is_not_opened(tmp_path, monkeypatch):
    path = tmp_path / "text.parquet"
    pyarrow.parquet.write_table(pa.table({"symbol": ["x" * 10_000] * 300, "close": [1.0] * 300}), path)
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(bounds, "TEXT", 1_000_000)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert caught.value.key == "import.text_too_large"
    monkeypatch.setattr(bounds, "TEXT", 4_000_000)
    assert read_table(path).rows == 300


@pytest.mark.parametrize("name", ["broken.parquet", "broken.xlsx"])
def test_a_damaged_table_is_named_without_its_folder_and_in_the_readers_language(tmp_path, name):
    (tmp_path / name).write_bytes(b"PAR1 broken PAR1")
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / name)
    for language in ("en", "zh"):
        assert name in caught.value.message(language) and str(tmp_path) not in caught.value.message(language)
    assert "不是完整的" in caught.value.message("zh")


# ---------------------------------------------------------------- spreadsheets
def harmless(content: bytes | str) -> bool:
    text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    return not [cell for cell in cells if cell.lstrip(" ")[:1] in "=+-@\t\r\n" and cell.strip() and not _number(cell)]


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("columns", [("symbol", "name"), CSV_COLUMNS], ids=["pool", "orders"])
def test_no_cell_of_a_table_is_a_formula(columns):
    frame = pd.DataFrame({column: list(FORMULAS) for column in columns} | {"change": [-0.5] * len(FORMULAS), "=header": 1})
    assert harmless(csv_bytes(frame)) and not harmless(frame.to_csv(index=False))


def test_a_stock_called_like_a_formula_leaves_as_text(filled_target):
    """Through the page's own export of a ranking, with a name that came from somebody's file."""
    from financial_model.ui import downloads

    table = filled_target.rank("target", 0)
    assert "=cmd|'/C calc'!A0" in set(table["name"])
    assert harmless(Path(downloads.csv(table, "pool.csv")).read_bytes())


@pytest.fixture
def filled_target(target):
    workspace = target.served.services.workspace
    store = Store(workspace.data_dir)
    before = store.names()["600519.SH"]
    store.set_names({"600519.SH": "=cmd|'/C calc'!A0"})
    yield Predictor(workspace)
    store.set_names({"600519.SH": before})


def test_every_place_that_writes_csv_is_known():
    """A new export must go through ``serving.export``; the others hold no text from outside, or are no spreadsheet's."""
    allowed = {"serving/export.py": "the one way out", "evaluation/performance.py": "checked symbols, sides and numbers",
               "market/integrity.py": "checked symbols and numbers", "market/upkeep.py": "symbols.csv: for a rebuild, read back as it is",
               "market/barfile.py": "bars: dates and numbers"}
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            own = name.endswith(".to_csv") and not name.startswith(("predictor.", "report.", "self."))
            if own or name in ("csv.writer", "csv.DictWriter", "pyarrow.csv.write_csv"):
                found.add(str(path.relative_to(PACKAGE)))
    assert found <= set(allowed), f"{found - set(allowed)} write CSV past serving.export"


def test_the_trade_list_holds_only_symbols_sides_and_numbers():
    trade = {"date": "2024-01-02", "symbol": "600519.SH", "side": "buy", "partial": False,
             **dict.fromkeys(("shares", "price", "amount", "commission", "stamp", "transfer", "slippage"), -1.0)}
    assert harmless(trades_csv({"trades": [trade]}))


def test_symbols_cannot_be_formulas(tmp_path):
    from financial_model.market.symbols import parse_symbol

    for text in FORMULAS:
        with pytest.raises(DataError):
            parse_symbol(text)


def test_a_bug_shows_a_number_on_the_page_too(target, monkeypatch, caplog):
    from gradio_client import Client

    def broken(*_, **__):
        raise RuntimeError("secret of /home/someone")

    monkeypatch.setattr(target.served.services.abilities, "list_symbols", broken)
    with pytest.raises(Exception) as caught:
        Client(target.url, verbose=False).predict(query="", limit=5, api_name="/list_symbols")
    assert "secret" not in str(caught.value) and "error " in str(caught.value)
    assert "Traceback" not in json.dumps(str(caught.value))


def test_a_bug_in_gradios_own_routes_shows_a_number_too(target, caplog):
    """An event that does not exist is a KeyError in Gradio."""
    with target.http() as client:
        reply = client.post("/gradio_api/run/predict", json={"fn_index": -1, "data": [], "session_hash": "x"})
    assert reply.status_code == 500 and reply.json()["error"] == "api.unexpected"
    assert reply.json()["id"] in caplog.text and reply.json()["id"] in reply.json()["message"]
