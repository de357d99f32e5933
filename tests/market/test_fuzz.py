"""Damaged files in their thousands: always bars that keep the schema, or a sentence, never a traceback. Seeded, so a failure can be repeated."""

import io
import random
import re
import zipfile

import pytest

from financial_model.errors import DataError
from financial_model.market.barfile import encode
from financial_model.market.bars import validate
from financial_model.market.sources.files import plan_import
from financial_model.market.sources.repair import Options, Repaired
from financial_model.market.sources.table_bars import bars_of, columns_of
from financial_model.market.sources.tables import read_table
from tests.market.builders import bars

TURNS = 600
"""Damaged files for each of the four seeds."""
TOKENS = [
    b",", b"\n", b'"', b"\x00", b"-", b"1e400", b"nan", b"inf", b"abc", b"\r\n", b"2020-13-45", b"9" * 30, b"\xff\xfe", b";", b"\t", "日期".encode(),
    b"date", b"0", b"{x}", b"%s", b"-1", b"'", b"=1+1", b"1,5",
]  # fmt: skip
CELLS = [b"", b"-1", b"0", b"nan", b"1e400", b"abc", b"9" * 30, b"3", b"0.001", b"1e9"]
"""What damaged cells of a sheet hold."""


def samples():
    base = bars(40)
    chinese = base.rename(
        columns={"date": "日期", "open": "开盘", "high": "最高", "low": "最低", "close": "收盘", "volume": "成交量", "amount": "成交额"}
    )
    slashed = base.assign(date=base["date"].dt.strftime("%Y/%m/%d"))
    sheet, columns = io.BytesIO(), io.BytesIO()
    base.head(10).to_excel(sheet, index=False)
    base.to_parquet(columns)
    return [
        ("600519.csv", base.to_csv(index=False).encode()), ("600519.csv", chinese.to_csv(index=False).encode("gbk")),
        ("600519.csv", base.assign(symbol="600519").to_csv(index=False).encode()),
        ("600519.csv", slashed.to_csv(index=False, sep=";").encode("utf-16")),
        ("600519.xlsx", sheet.getvalue()), ("600519.parquet", columns.getvalue()),
    ]  # fmt: skip


def damaged(data: bytes, chance: random.Random) -> bytes:
    content = bytearray(data)
    for _ in range(chance.randint(1, 2)):
        position = chance.randrange(len(content) + 1)
        what = chance.randrange(6)
        if what == 0:
            content[position : position + 1] = chance.choice(TOKENS)
        elif what == 1:
            content[position:position] = chance.choice(TOKENS)
        elif what == 2:
            content[position : position + chance.randint(1, 30)] = b""
        elif what == 3:
            content = content[:position]
        elif what == 4 and position < len(content):
            content[position] = chance.randrange(256)
        else:
            lines = bytes(content).split(b"\n")
            chance.shuffle(lines)
            content = bytearray(b"\n".join(lines))
    return bytes(content)


def damaged_sheet(data: bytes, chance: random.Random) -> bytes:
    """A workbook whole as a ZIP and, mostly, as XML, its cells damaged: otherwise checksums and brackets alone would be tried."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(stream, "w") as after:
        for entry in before.namelist():
            content = before.read(entry)
            after.writestr(entry, damaged_cells(content, chance) if entry.startswith("xl/worksheets/") else content)
    return stream.getvalue()


def damaged_cells(content: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.2:
        return damaged(content, chance)
    cells = [found.span(1) for found in re.finditer(rb"<v>([^<]*)</v>", content)]
    for first, last in sorted(chance.sample(cells, 2), reverse=True):
        content = content[:first] + chance.choice(CELLS) + content[last:]
    return content


def outcomes_of(path):
    """What each symbol of a file comes to: its bars, or the key of the sentence. The bytes to be stored do not depend on how they were read."""
    try:
        table = read_table(path)
        found = dict(bars_of(table, columns_of(table, None), Options()))
    except DataError as error:
        return error.key
    for outcome in found.values():
        if isinstance(outcome, Repaired):
            validate(outcome.bars, path.name)
            assert encode(outcome.columns, outcome.origin) == encode(outcome.columns)
    return {symbol: encode(outcome.columns) if isinstance(outcome, Repaired) else outcome.key for symbol, outcome in found.items()}


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_give_bars_or_a_sentence(tmp_path, seed, monkeypatch):
    known = samples()
    outcomes = set()
    for turn in range(TURNS):
        chance = random.Random(1000 * seed + turn)  # one each: a sheet's bytes hold the time of day, and must not move the others
        name, data = chance.choice(known)
        path = tmp_path / name
        inside = name.endswith("xlsx") and chance.random() < 0.7
        path.write_bytes(damaged_sheet(data, chance) if inside else damaged(data, chance))
        (plan,) = plan_import([path]).files
        for problem in plan.problems:
            assert problem.message("en") and problem.message("zh")
            outcomes.add(problem.key)
        if plan.count:
            outcomes.add("read")
        found = outcomes_of(path)
        if not name.endswith("csv"):
            continue
        with monkeypatch.context() as patch:
            patch.setattr("financial_model.market.sources.tables._simple", lambda *_: None)
            assert outcomes_of(path) == found  # the fast reader says what the full one says
    assert "read" in outcomes and len(outcomes) > 5  # the damage was neither harmless nor total
