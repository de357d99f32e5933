"""``predict`` and ``rank``: one stock, or the whole pool.

In: parsed arguments. Out: an :class:`Answer`. The figures come from ``serving.predictor``.
"""

from __future__ import annotations

import argparse
import math
import threading
from pathlib import Path
from typing import Any

from financial_model.cli import standing
from financial_model.cli.arguments import workspace_of
from financial_model.cli.output import Answer, Output, ProgressBar, figure, percent, table
from financial_model.cli.training import stopping
from financial_model.serving.plausibility import age_line


def predict(arguments: argparse.Namespace, output: Output) -> Answer:
    """The days ahead of one stock with ranges and chances."""
    from financial_model.serving.predictor import Predictor

    predictor = Predictor(workspace_of(arguments))
    if predictor.runs.get(arguments.run).run_config().label.own and not arguments.publish:
        return _label_of(predictor, arguments, output)
    found = predictor.forecast(arguments.run, arguments.symbol, arguments.as_of or None, arguments.days)
    data = {name: value for name, value in found.items() if name not in ("history", "model", "class_line")}
    data["notes"] = [output.word(note["key"], **note["fields"]) for note in found["notes"]]
    data["tested"] = standing.facts(found["model"])
    lines = [*forecast_lines(found, output), standing.tested(found["model"], output)]
    if arguments.publish:
        from financial_model.serving.journal_publish import publish_forecast

        data["published"] = publish_forecast(predictor.workspace, found)
        lines.append(published_line(data["published"], output))
    return Answer(data, lines)


def _label_of(predictor: Any, arguments: argparse.Namespace, output: Output) -> Answer:
    """One stock, of a model that forecasts no return."""
    from financial_model.serving.label_forecasts import forecast_label

    found = forecast_label(predictor, arguments.run, arguments.symbol, arguments.as_of or None)
    rows = [[day["day"], f"{day[found['label']]:.4g}", *(f"{value:.4g}" for value in day["quantiles"].values())] for day in found["table"]]
    head = [output.word("cli.predict.day"), found["label"], *found["table"][0]["quantiles"]]
    notes = [output.word(note["key"], **note["fields"]) for note in found["notes"]]
    return Answer({**found, "notes": notes}, [output.word("cli.label.predicted", **found), "", *table(head, rows), "", *notes])


def _labels(predictor: Any, arguments: argparse.Namespace, output: Output, stop: threading.Event) -> Answer:
    """The pool, of a model that forecasts no return."""
    from financial_model.serving.label_forecasts import rank_label

    with ProgressBar(output) as progress:
        found = rank_label(predictor, arguments.run, arguments.top, arguments.as_of or None, industry=arguments.industry or None, progress=progress,
                           stop=stop)
    about, label = found.attrs, found.attrs["label"]
    file = predictor.to_csv(found, Path(arguments.csv)) if arguments.csv else None
    notes = [output.word(note["key"], **note["fields"]) for note in about["notes"]]
    figures = (label, f"{label}_low_80", f"{label}_high_80")
    rows = [[row["rank"], row["symbol"], row["name"], row["industry"], *(f"{row[name]:.4g}" for name in figures)] for row in found.to_dict("records")]
    head = [*(output.word(f"cli.rank.{name}") for name in ("place", "symbol", "name", "industry")), label, output.word("cli.label.low"),
            output.word("cli.label.high")]
    data = {"run": predictor.runs.get(arguments.run).id, **{name: about[name] for name in ("label", "as_of", "days", "considered")},
            "stocks": found, "notes": notes, **({"csv": str(file)} if file else {})}
    title = output.word("cli.label.ranked", label=label, as_of=about["as_of"], days=about["days"], shown=len(found), count=about["considered"])
    return Answer(data, [title, "", *table(head, rows), "", *notes, *([str(file)] if file else [])])


def forecast_lines(found: dict[str, Any], output: Output) -> list[str]:
    """A forecast for a reader."""
    title = output.word("cli.predict.title", symbol=found["symbol"], name=found["name"], as_of=found["as_of"], price=figure(found["price"], 2))
    truth = found["truth"]["price"]
    rows = []
    for place, day in enumerate(found["table"]):
        low, high = (found["fan"]["80"][side][place] for side in ("low", "high")) if "80" in found["fan"] else (None, None)
        later = figure(truth[place], 2) if place < len(truth) else "–"
        rows.append([day["day"], day["date"], figure(day["price"], 2), f"{figure(low, 2)} – {figure(high, 2)}",
                     percent(math.expm1(day["expected_return"]), signed=True), percent(day["p_up"], 1), later])
    head = [output.word(f"cli.predict.{name}") for name in ("day", "date", "median", "range", "expected", "p_up", "truth")]
    odds = output.word("serving.class_line", **found["class_line"])
    figures = [output.word("serving.figure_line", **found["figures"])] if found["figures"] else []
    return [title, "", *table(head, rows), "", output.word("cli.predict.odds", days=found["class_horizon"], odds=odds), *figures,
            *(output.word(note["key"], **note["fields"]) for note in (*age_line(found["age"]), *found["notes"]))]


def rank(arguments: argparse.Namespace, output: Output) -> Answer | None:
    """The pool, best expected return first; with ``--watch`` again after every close, an answer each, until Ctrl-C."""
    if arguments.watch is None:
        with stopping(output) as stop:
            return _ranked(arguments, output, stop)
    from financial_model.errors import ConfigError
    from financial_model.serving.watch import watch

    if arguments.as_of:
        raise ConfigError("watch.of_the_past", as_of=arguments.as_of)
    with stopping(output) as stop:
        watch(workspace_of(arguments), arguments.watch, lambda: output.answer(_ranked(arguments, output, stop)), stop=stop,
              tell=lambda key, **fields: output.note(output.word(key, **fields)))
    return None


def _ranked(arguments: argparse.Namespace, output: Output, stop: threading.Event) -> Answer:
    from financial_model.serving.predictor import Predictor

    predictor = Predictor(workspace_of(arguments))
    if predictor.runs.get(arguments.run).run_config().label.own and arguments.min_gain is None and not arguments.publish:
        return _labels(predictor, arguments, output, stop)
    with ProgressBar(output) as progress:
        found = predictor.rank(arguments.run, arguments.top, arguments.as_of or None, min_gain=arguments.min_gain,
                               industry=arguments.industry or None, progress=progress, stop=stop)
        entry = _publish(predictor, arguments, found, progress, stop) if arguments.publish else None
    file = predictor.to_csv(found, Path(arguments.csv)) if arguments.csv else None
    notes = [output.word(note["key"], **note["fields"]) for note in found.attrs["notes"]]
    aged = [output.word(note["key"], **note["fields"]) for note in age_line(found.attrs["age"])]
    header = predictor.forecaster(arguments.run).header
    data = {"run": predictor.runs.get(arguments.run).id, "as_of": found.attrs["as_of"], "days": found.attrs["days"],
            "considered": found.attrs["considered"], "stocks": found, "notes": notes,
            "tested": standing.facts(header), "age": found.attrs["age"], **({"csv": str(file)} if file else {}),
            **({"published": entry} if entry else {})}
    title = output.word("cli.rank.title", as_of=found.attrs["as_of"], days=found.attrs["days"], shown=len(found), count=found.attrs["considered"])
    return Answer(data, [title, "", *pool_table(found, output), "", standing.tested(header, output), *aged, *notes, *([str(file)] if file else []),
                         *([published_line(entry, output)] if entry else [])])


def _publish(predictor: Any, arguments: argparse.Namespace, found: Any, progress: Any, stop: Any) -> dict[str, Any]:
    """The whole pool into the journal, however much of it is shown."""
    from financial_model.serving.journal_publish import publish, publish_ranking

    if len(found) == found.attrs["considered"]:
        return publish_ranking(predictor.workspace, arguments.run, found)
    return publish(predictor.workspace, arguments.run, as_of=arguments.as_of or None, predictor=predictor, progress=progress, stop=stop)


def published_line(entry: dict[str, Any], output: Output) -> str:
    """What was written into the journal, and whether it came in time."""
    name = "repeated" if entry["repeated"] else "late" if entry["late"] else "in_time"
    return output.word(f"cli.journal.published_{name}", number=entry["number"], as_of=entry["as_of"], late=entry["late"], hash=entry["hash"][:16])


def pool_table(found: Any, output: Output) -> list[str]:
    rows = [[row.rank, row.symbol, row.name, row.industry, f"{row.size}/{row.value}/{row.volatility_class}/{row.momentum}", figure(row.price, 2),
             percent(math.expm1(row.expected_return), signed=True), percent(row.p_up, 1), percent(row.volatility), _flags(row, output)]
            for row in found.itertuples(index=False, name="Stock")]
    columns = ("place", "symbol", "name", "industry", "style", "price", "expected", "p_up", "volatility", "flags")
    return table([output.word(f"cli.rank.{name}") for name in columns], rows)


def _flags(row: Any, output: Output) -> str:
    flags = ("suspended", "limit_up", "limit_down", "unusual", "impossible")
    return ", ".join(output.word(f"cli.flag_of.{name}") for name in flags if getattr(row, name))
