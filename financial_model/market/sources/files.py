"""The files source: folders, tables and sheets people already have, into the store.

In: paths. Out: bars in the store, and a report that says what was taken, how it was read, and what was refused with file, line and reason.
One bad file or symbol never stops the others. Unchanged files are not read again. Headers, cells and repairs are in the modules beside this one.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from financial_model.errors import ConfigError, DataError, KairosError, NotFoundError, Stopped
from financial_model.market.bars import interval
from financial_model.market.batch import Batch
from financial_model.market.classification import classify
from financial_model.market.lengths import OTHER_LENGTH, OneLength, most_of
from financial_model.market.schema import now
from financial_model.market.sources.archives import ZIP, Outcome, spread, tables
from financial_model.market.sources.columns import ColumnMap, map_columns
from financial_model.market.sources.memory import Memory, Seen
from financial_model.market.sources.naming import row_symbol
from financial_model.market.sources.repair import PRICE_KINDS, VOLUME_UNITS, Options, Repaired
from financial_model.market.sources.reports import FilePlan, ImportPlan, ImportReport, Note, Notes, Refusal, refusal
from financial_model.market.sources.table_bars import bars_of, columns_of, names_of, rows_by_symbol, times_of
from financial_model.market.sources.tables import SUFFIXES, read_head, read_table
from financial_model.market.sources.values import texts
from financial_model.market.symbols import kind, parse_symbol

if TYPE_CHECKING:
    from financial_model.market.store import Store

__all__ = ["FilePlan", "ImportPlan", "ImportReport", "Note", "Refusal", "find_files", "import_industries", "import_paths", "plan_import"]

SOURCE = "files"
VERSION = 1
"""Of the reading rules: raised when the same file would now be read differently."""
_TABLES = (*SUFFIXES, ZIP)
_LOOKED_AT, _FIRST_ROWS = 16, 250
"""Files, evenly spread over those of an import, and rows of a stock in them that tell how long most bars are."""


def plan_import(paths: Sequence[Path | str], *, store: Store | None = None, volume_unit: str = "auto", prices: str = "auto",
                columns: Mapping[str, str] | None = None, limit: int = 20) -> ImportPlan:
    """Look into the first ``limit`` files and say how they would be read, and whether their bars are as long as those in ``store`` (None: an empty
    one) or else of most files; nothing is stored."""
    options = _options(volume_unit, prices)
    found = find_files(paths, own=store.data_dir if store is not None else None)
    lengths = OneLength(store, lambda: _length_of_most(found, columns))
    plans: list[FilePlan] = []
    taken: set[str] = set()
    for number, path in enumerate(found):
        plans += islice(_plans(path, options, columns, lengths, taken), limit - len(plans))
        if len(plans) == limit:
            return ImportPlan(files=tuple(plans), more=len(found) - number - 1)
    return ImportPlan(files=tuple(plans), more=0)


def _plans(path: Path, options: Options, choice: Mapping[str, str] | None, lengths: OneLength, taken: set[str]) -> Iterator[FilePlan]:
    """The plan of a file; of each table in a ZIP."""
    try:
        for shown, _, table in tables(path):
            yield _plan_table(shown, table, options, choice, lengths, taken)
    except DataError as error:
        yield _plan_table(str(path), error, options, choice, lengths, taken)


def _plan_table(shown: str, table: Outcome, options: Options, choice: Mapping[str, str] | None, lengths: OneLength, taken: set[str]) -> FilePlan:
    problems: list[Refusal] = []
    good: list[tuple[str, Repaired]] = []
    found, encoding = ColumnMap(fields={}), ""
    try:
        if isinstance(table, KairosError):
            raise table
        encoding, found = table.encoding, map_columns(table.headers, choice)
        lengths.settle(_lengths(table, choice))
        for symbol, outcome in bars_of(table, columns_of(table, choice), options):
            try:
                if isinstance(outcome, KairosError):
                    raise outcome
                if symbol not in taken:  # an import keeps the first and leaves this one
                    lengths.check(symbol, interval(outcome.columns["date"]))
                    taken.add(symbol)
                good.append((symbol, outcome))
            except (DataError, NotFoundError) as error:
                problems.append(refusal(shown, error, symbol))
    except (DataError, NotFoundError) as error:
        problems.append(refusal(shown, error))
    return FilePlan(
        file=shown, symbols=tuple(symbol for symbol, _ in good[:5]), count=len(good), rows=sum(entry.rows for _, entry in good),
        mapping=found.labels, ignored=found.ignored, encoding=encoding, unit="/".join(sorted({entry.unit for _, entry in good})),
        prices="/".join(sorted({entry.prices for _, entry in good})), problems=tuple(problems))


def import_paths(store: Store, paths: Sequence[Path | str], *, industry: Path | str | None = None, volume_unit: str = "auto", prices: str = "auto",
                 columns: Mapping[str, str] | None = None, progress: Callable[[str, float, float], None] | None = None,
                 stop: threading.Event | None = None) -> ImportReport:
    """Import every file under ``paths`` (files or folders) into ``store``.

    ``volume_unit``: auto, shares or lots. ``prices``: auto, raw or adjusted. ``columns``: our field -> header, over what is recognised.
    Bars of one length are taken: that of the stocks in ``store``, or else of most to come. ``industry``: a table of symbols and industries.
    ``progress(stage, done, total)`` counts files. Raises ``NotFoundError`` for a path that is not there, ``DataError`` for a folder without any
    table or a store with the demo market, ``StorageError`` when the disk is full, ``Stopped`` on ``stop``; what was written until then stays.
    """
    options = _options(volume_unit, prices)
    store.check_source(SOURCE)
    found = find_files(paths, own=store.data_dir)
    report = ImportReport(files=len(found))
    notes = Notes()
    taken: dict[str, str] = {}
    memory = Memory(store, SOURCE, json.dumps({"version": VERSION, **asdict(options), "columns": dict(columns or {})}, sort_keys=True))
    lengths = OneLength(store, lambda: _length_of_most(found, columns))
    batch = Batch(store, SOURCE, lengths=lengths)
    try:
        try:
            for number, path in enumerate(found):
                one = _Import(memory, batch, lengths, path, options, columns, report, notes, taken, stop)
                for share in one.run():
                    if progress:
                        progress("import", number + share, len(found))
        finally:  # whatever ends this: what was read until then stays
            batch.flush()
        if industry is not None:
            import_industries(store, Path(industry), report)
    finally:
        report.notes = notes.collected()
        store.write_metadata()
    return report


def import_industries(store: Store, path: Path, report: ImportReport | None = None) -> ImportReport:
    """Industries (and names, where the table has them) from a table of symbols. Counted in the report; unknown words become ``other``."""
    report = report if report is not None else ImportReport(files=1)
    table = read_table(path)
    found = map_columns(table.headers)
    missing = [name for name in ("symbol", "industry") if name not in found.fields]
    if missing:
        raise DataError("import.industry_columns", file=path.name, missing=", ".join(missing), found=", ".join(table.headers)[:200])
    words: dict[str, str] = {}
    names: dict[str, str] = {}
    columns = {name: texts(table.data[found.fields[name]]) for name in ("symbol", "industry", "name") if name in found.fields}
    for row, code in enumerate(columns["symbol"]):
        try:
            symbol = row_symbol(code)
        except DataError as error:
            report.refused.append(Refusal(file=str(path), key=error.key, fields=error.fields, line=table.line(row)))
            continue
        words[symbol] = columns["industry"][row]
        if columns.get("name"):
            names[symbol] = columns["name"][row]
    mapping, unknown = classify(words)
    store.set_industries(mapping, source=path.name, as_of=now()[:10], labels=words)
    store.set_names({symbol: name for symbol, name in names.items() if name})
    report.industries, report.unmapped = len(store.industries()), dict(unknown.most_common())
    return report


def find_files(paths: Sequence[Path | str], *, own: Path | None = None) -> list[Path]:
    """Tables under files and folders: Parquet first (whole tables), then by name; hidden files and what a store at ``own`` wrote are left out."""
    found: list[Path] = []
    everything = {(own / name).resolve() for name in ("training_data", "index_data", "panels", "symbols.csv")} if own is not None else set()
    for given in map(Path, paths):
        if given.is_dir():
            base = given.resolve()
            ours = {path for path in everything if path.is_relative_to(base) or base.is_relative_to(path)}
            inside = [path for path in map(Path, _inside(str(given))) if not (ours and ours & {path.resolve(), *path.resolve().parents})]
            if not inside:
                raise DataError("import.empty_folder", folder=str(given), known=", ".join((*SUFFIXES, ZIP)))
            found += sorted(inside, key=lambda path: (path.suffix.lower() != ".parquet", str(path)))
        elif given.is_file():
            found.append(given)
        else:
            raise NotFoundError("import.no_such_path", path=str(given)[:200])
    return list(dict.fromkeys(found))


def _inside(folder: str) -> Iterator[str]:
    """Tables in a folder and the folders in it, by their names; what is hidden and what may not be listed is passed over."""
    try:
        entries = os.scandir(folder)
    except PermissionError:
        return
    with entries:
        for entry in entries:
            if entry.name.startswith((".", "~$")):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _inside(entry.path)
            elif os.path.splitext(entry.name)[1].lower() in _TABLES and entry.is_file():
                yield entry.path


def _length_of_most(found: Sequence[Path], choice: Mapping[str, str] | None) -> tuple[str, int] | None:
    """(a stock with bars as long as most have, their seconds), by the first rows of some files and of some members of each ZIP.

    None where there is none, and for a single table, which is not read twice: it tells when it is read."""
    if len(found) == 1 and found[0].suffix.lower() != ZIP:
        return None
    return most_of(_first_lengths(found, choice))


def _first_lengths(found: Sequence[Path], choice: Mapping[str, str] | None) -> Iterator[tuple[str, int]]:
    for path in spread(found, _LOOKED_AT):
        try:
            for _, _, table in tables(path, read=read_head, most=_LOOKED_AT):
                yield from _lengths(table, choice)
        except (DataError, NotFoundError, OSError):
            continue  # it is refused, and says why, when it is imported


def _lengths(table: Outcome, choice: Mapping[str, str] | None) -> Iterator[tuple[str, int]]:
    """(stock, seconds from bar to bar) for each stock of a table that has two bars."""
    if isinstance(table, KairosError):
        return
    columns = map_columns(table.headers, choice)
    if "date" not in columns.fields:
        return
    time, _ = times_of(table, columns)
    for symbol, rows in rows_by_symbol(table, columns):
        try:
            parsed = str(parse_symbol(symbol))
        except DataError:
            continue
        own = np.unique(time[rows[:_FIRST_ROWS]])
        seconds = interval(own[~np.isnat(own)])
        if seconds and kind(parsed) == "stock":
            yield parsed, seconds


# ---------------------------------------------------------------- one file
@dataclass
class _Import:
    """One file on its way into the store."""

    memory: Memory
    batch: Batch
    lengths: OneLength
    path: Path
    options: Options
    columns: Mapping[str, str] | None
    report: ImportReport
    notes: Notes
    taken: dict[str, str]
    """Symbol -> the file of this import that it came from."""
    stop: threading.Event | None
    symbols: list[str] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    content: bytes = b""

    def run(self) -> Iterator[float]:
        """Read the file unless it is known unchanged; the share of it that is done, after each table."""
        self._check_stop()
        file = Seen(self.path)
        known = self.memory.recall(file)
        if known is not None:
            self.report.unchanged += bool(known["symbols"] or not known["refused"])  # a file that gave nothing is refused again, not "unchanged"
            self.report.refused += [Refusal(**entry) for entry in known["refused"]]
            self.taken.update(dict.fromkeys(known["symbols"], self.path.name))
            yield 1.0
            return
        try:
            for shown, share, table in tables(self.path):
                self._take(shown, table)
                yield share
        except DataError as error:  # a ZIP that is none
            self.refused.append(refusal(self.path, error))
            yield 1.0
        self.report.imported += self.symbols
        self.report.refused += self.refused
        if not any(entry.key in OTHER_LENGTH for entry in self.refused):  # such a file is looked at again next time
            self.batch.remember(self.memory.row(file, self.content, self.symbols, self.refused))

    def _take(self, shown: str, table: Outcome) -> None:
        try:
            if isinstance(table, KairosError):
                raise table
            if table.path == self.path:
                self.content = table.content
            names = names_of(table)
            self.lengths.settle(_lengths(table, self.columns))
            for symbol, outcome in bars_of(table, columns_of(table, self.columns), self.options):
                self._check_stop()
                if isinstance(outcome, KairosError):
                    self.refused.append(refusal(shown, outcome, symbol))
                elif symbol in self.taken:
                    self.notes.add("import.note_twice", symbol, {"kept": self.taken[symbol], "file": table.path.name})
                else:
                    try:
                        self._write(symbol, outcome, names.get(symbol, ""), table.path.name)
                    except DataError as error:
                        self.refused.append(refusal(shown, error, symbol))
        except (DataError, NotFoundError) as error:
            self.refused.append(refusal(shown, error))

    def _write(self, symbol: str, outcome: Repaired, name: str, file: str) -> None:
        self.batch.write(symbol, outcome.columns, name=name, prices=outcome.prices, origin=outcome.origin)
        self.taken[symbol] = file
        self.symbols.append(symbol)
        self.report.rows += outcome.rows
        for key, fields in outcome.notes:
            self.notes.add(key, symbol, fields)

    def _check_stop(self) -> None:
        if self.stop is not None and self.stop.is_set():
            raise Stopped()


def _options(volume_unit: str, prices: str) -> Options:
    for name, value, choices in (("volume_unit", volume_unit, VOLUME_UNITS), ("prices", prices, PRICE_KINDS)):
        if value not in choices:
            raise ConfigError("config.not_a_choice", name=name, value=str(value)[:40], choices=", ".join(choices))
    return Options(volume_unit=volume_unit, prices=prices)
