"""``backtest``: what a portfolio that follows a run's forecasts would have earned on its test dates, after costs and under the market's rules.

In: parsed arguments. Out: an :class:`Answer`. The rules and the figures are the evaluation layer's.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from financial_model.cli.arguments import workspace_of
from financial_model.cli.output import Answer, Output, ProgressBar, figure, percent, table
from financial_model.cli.training import stopping
from financial_model.errors import ConfigError
from financial_model.paths import atomic_write

SIDES = ("net", "gross", "equal_weight", "index")
ROWS = ("total_return", "annual_return", "annual_volatility", "sharpe", "max_drawdown", "calmar")
FACTS = ("sharpe", "excess_equal_weight", "excess_index", "turnover", "cost_per_year", "break_even_cost_equal_weight",
         "information_ratio_equal_weight", "invested", "trades", "blocked", "deflated_sharpe")
RATIOS = frozenset({"sharpe", "calmar", "information_ratio_equal_weight", "trades", "blocked"})


def backtest(arguments: argparse.Namespace, output: Output) -> Answer:
    """Top-k with drop, entry at the next open, beside the index and the equal-weight universe; ``--csv`` writes the trades."""
    from financial_model.evaluation.backtest import BacktestSettings
    from financial_model.evaluation.performance import trades_csv
    from financial_model.serving.backtesting import backtest_run

    given = {name: getattr(arguments, name) for name in ("top", "drop", "every", "minimum_holding", "capital", "volume_share", "industry_cap")}
    for name, low in (("top", 1), ("drop", 0), ("every", 1), ("minimum_holding", 1), ("capital", 1.0), ("volume_share", 0.0), ("industry_cap", 0.0)):
        if given[name] is not None and given[name] < low:
            raise ConfigError("config.out_of_range", name=name, value=given[name], low=low, high="–")
    settings = BacktestSettings(**{name: value for name, value in given.items() if value is not None})
    with stopping(output) as stop, ProgressBar(output) as progress:
        found = backtest_run(workspace_of(arguments), arguments.run, settings=settings, progress=progress, stop=stop)
    data = {**found, "verdict": [output.word(item["key"], **item["fields"]) for item in found["verdict"]]}
    lines = backtest_lines(found, output)
    if arguments.csv:
        path = Path(arguments.csv)
        atomic_write(path, b"\xef\xbb\xbf" + trades_csv(found).encode("utf-8"))
        data["csv"] = str(path)
        lines.append(str(path))
    return Answer(data, lines)


def backtest_lines(found: Mapping[str, Any], output: Output) -> list[str]:
    """Figures side by side, the facts of trading, and what they mean."""
    sides = [name for name in SIDES if name in found or name == "net"]
    columns = {name: found["metrics"] if name == "net" else found[name] for name in sides}
    rows = [[output.word(f"evaluation.report.figure_{row}"), *(_shown(row, columns[name].get(row)) for name in sides)] for row in ROWS]
    held = found["settings"]
    title = output.word("cli.backtest.title", run=found["run"], first=found["test"]["first"], last=found["test"]["last"], top=held["top"],
                        drop=held["drop"], days=found["metrics"]["days"])
    facts = [f"{output.word(f'evaluation.report.figure_{name}')}: {_stated(name, found['metrics'])}" for name in FACTS if name in found["metrics"]]
    return [title, "", *table(["", *(output.word(f"evaluation.report.side_{name}") for name in sides)], rows), "", *facts, "",
            *(output.word(item["key"], **item["fields"]) for item in found["verdict"])]


def _stated(name: str, metrics: Mapping[str, Any]) -> str:
    """A figure with its interval, where it has one."""
    ends = metrics.get(f"{name}_interval")
    return _shown(name, metrics.get(name)) + (f" [{', '.join(_shown(name, end).removesuffix(' %') for end in ends)}]" if ends else "")


def _shown(name: str, value: Any) -> str:
    return figure(value, 2) if name in RATIOS else percent(value)
