"""What can be done with a file that a program has sent: look into it, see how it would be imported, import it, forecast it.

In: the id of an upload (``received.py``). Out: plain JSON data, or a job. The same services as behind the page and the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Any

from financial_model.errors import ConfigError, DataError, KairosError
from financial_model.market.store import Store
from financial_model.paths import Workspace
from financial_model.serving.jobs import JobService
from financial_model.serving.received import Received
from financial_model.text import translate
from financial_model.training.plain import plain

SMALL = 50 * 1000 * 1000
"""Bytes of a file that is looked into at once, or forecast: some hundred bars a stock, not a market's history."""
ROWS = 200
"""Rows of a look at most."""


class Intake:
    """Uploads and what they are for. Nothing here takes a path."""

    def __init__(self, workspace: Workspace, jobs: JobService) -> None:
        self.workspace, self.jobs = workspace, jobs
        self.received = Received()

    def preview(self, upload: str, rows: int = 20) -> dict[str, Any]:
        """The first rows as they stand in the file, of a ZIP those of its first table; ``rows`` of ``total``."""
        from financial_model.market.sources.archives import tables

        if not 1 <= rows <= ROWS:
            raise ConfigError("config.out_of_range", name="rows", value=rows, low=1, high=ROWS)
        path = self.received.path(upload, SMALL)
        for _, _, table in islice(tables(path), 1):
            if isinstance(table, KairosError):
                raise table
            shown = table.data.slice(0, rows).to_pylist()
            return plain({"name": path.name, "columns": list(table.headers), "total": table.rows, "encoding": table.encoding,
                          "rows": [{name: value if isinstance(value, int | float | None) else str(value) for name, value in row.items()}
                                   for row in shown]})
        raise DataError("ui.upload.empty", kinds=".csv .txt .xlsx .parquet")

    def plan(self, upload: str, volume_unit: str = "auto", prices: str = "auto", columns: Sequence[str] = (), language: str = "en") -> dict[str, Any]:
        """How the file would be imported: symbols, rows, which column means what, units, what would be refused and why. Nothing is stored."""
        from financial_model.serving.market import plan_import

        with self.received.held(upload) as path:
            found = plan_import(self.workspace, [path], volume_unit=volume_unit, prices=prices, columns=columns)
        files = [{**entry, "file": file_name(entry["file"]),
                  "problems": [{"symbol": problem["symbol"], "message": translate(problem["key"], language, **_named(problem["fields"]))}
                               for problem in entry["problems"]]} for entry in found["files"]]
        return plain({"files": files, "more": found["more"]})

    def bring(self, upload: str, volume_unit: str = "auto", prices: str = "auto", columns: Sequence[str] = ()) -> str:
        """Import the file: the id of the job."""
        from financial_model.market.sources.columns import column_choice
        from financial_model.market.sources.files import SOURCE

        column_choice(columns)
        Store(self.workspace.data_dir).check_source(SOURCE)
        path = self.received.path(upload)
        return self._submit(upload, "import", paths=[str(path)], volume_unit=volume_unit, prices=prices, columns=list(columns))

    def forecast(self, run: str, upload: str, symbol: str = "", industry: str = "", days: int = 0) -> str:
        """Forecast the bars in the file; nothing of it enters the store. The id of the job."""
        from financial_model.market.symbols import parse_symbol

        chosen = self.jobs.runs.get(run).id
        if symbol.strip():
            parse_symbol(symbol)
        path = self.received.path(upload, SMALL)
        if path.suffix.lower() == ".zip":
            raise DataError("ui.upload.kind", name=path.name, kinds=".csv .txt .xlsx .parquet")
        return self._submit(upload, "custom", run=chosen, path=str(path), symbol=symbol, industry=industry, days=days or None)

    def _submit(self, upload: str, kind: str, **parameters: Any) -> str:
        """A job that reads an upload, which is held until that has ended."""
        with ExitStack() as reading:
            reading.enter_context(self.received.held(upload))
            job = self.jobs.submit(kind, **parameters).id
            self.jobs.when_done(job, reading.pop_all().close)
        return job


def file_name(file: str) -> str:
    """The last part of a path."""
    return file.replace("\\", "/").rsplit("/", 1)[-1]


def _named(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields of a sentence, a file by its own name alone."""
    return {name: file_name(value) if name == "file" and isinstance(value, str) else value for name, value in fields.items()}
