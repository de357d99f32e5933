"""The table per stock as text and as one HTML file.

In: what ``serving/quickstart.py`` found. Out: text. It computes no figure; the words stand in the catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from financial_model.evaluation.per_stock import ALL
from financial_model.evaluation.report_words import Words, template
from financial_model.evaluation.svg import Level, Line, chart, date, whiskers
from financial_model.evaluation.verdict import sentences
from financial_model.text import translate

Row = Mapping[str, Any]
COLUMNS = ("stock", "rows", "mse", "rmse", "mae", "mae_zero", "mae_lead", "direction", "base_rate", "beyond_base")


def headings(language: str) -> list[str]:
    return [translate(f"quickstart.{name}", language) for name in COLUMNS]


def cells(row: Row, language: str) -> list[str]:
    """One row of the table as texts."""
    zero = row["baselines"]["zero"]
    name = translate("quickstart.all", language) if row["symbol"] == ALL else row["symbol"]
    return [name, f"{row['rows']:,}", _figure(row["mse"], 2), _figure(row["rmse"], 2), _figure(row["mae"], 3), _figure(zero["mae"], 3),
            f"{zero['difference']:+.3f}{_ends(zero['difference_interval'], '+.3f')}",
            _percent(row["direction"]) + _ends(row["direction_interval"], ".1f", 100), _percent(row["base_rate"]),
            _signed_percent(row["direction_edge"]) + _ends(row["direction_edge_interval"], "+.1f", 100)]


def _figure(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _signed_percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.1f}"


def _ends(interval: Sequence[float] | None, form: str, scale: float = 1.0) -> str:
    return "" if interval is None else f" [{scale * interval[0]:{form}}, {scale * interval[1]:{form}}]"


def remarks(answer: Mapping[str, Any], language: str) -> list[str]:
    """What a reader must know beside the table."""
    stocks = [row for row in answer["rows"] if row["symbol"] != ALL]
    above = [row["symbol"] for row in stocks if row["direction_edge_interval"] and row["direction_edge_interval"][0] > 0]
    lower = [row["symbol"] for row in stocks if (ends := row["baselines"]["zero"]["difference_interval"]) and ends[1] < 0]
    said = [translate("quickstart.unit", language, days=answer["horizon"], first=answer["split"]["test"]["first"],
                      last=answer["split"]["test"]["last"]),
            translate("quickstart.direction_some" if above else "quickstart.direction_none", language, stocks=", ".join(above), count=len(stocks)),
            translate("quickstart.error_some" if lower else "quickstart.error_none", language, stocks=", ".join(lower), count=len(stocks))]
    foreign = {asked: used for asked, used in answer["tickers"].items() if answer["synthetic"] and asked != used}
    if foreign:
        said.append(translate("quickstart.stand_in", language, pairs=", ".join(f"{asked} → {used}" for asked, used in foreign.items())))
    elif answer["synthetic"]:
        said.append(translate("quickstart.synthetic", language))
    return said


def render(answer: Mapping[str, Any], language: str = "en") -> str:
    """The page as text: no network, no script, every text escaped."""
    words = Words(language)
    edges = [(row["symbol"], row["direction_edge"], row["direction_edge_interval"], _colour(row["direction_edge_interval"]))
             for row in answer["rows"] if row["direction_edge"] is not None]
    title = translate("quickstart.edge", language)
    return template("per_stock.html").render(
        name=answer["run"], language=language, synthetic=answer["synthetic"], words=words, title=translate("quickstart.title", language),
        headings=headings(language), rows=[cells(row, language) for row in answer["rows"]], remarks=remarks(answer, language),
        verdict=sentences(answer["verdict"], language), edge={"title": title, "svg": whiskers(edges, label=title, value_format=_share)},
        help=translate("quickstart.help", language), pictures=[_picture(row, language) for row in answer["rows"] if row["series"]],
        picture_help=translate("quickstart.picture_help", language))


def _colour(interval: Sequence[float] | None) -> int:
    return 5 if interval is None else 2 if interval[0] > 0 else 3 if interval[1] < 0 else 5


def _share(value: float) -> str:
    return f"{100 * value:+.1f} %"


def _picture(row: Row, language: str) -> dict[str, str]:
    """What was forecast over what happened: the forecast is as small as the evidence for it."""
    series, words = row["series"], [translate(f"quickstart.{name}", language) for name in ("outcome", "forecast")]
    lines = [Line(words[0], series["time"], series["outcome"], 5), Line(words[1], series["time"], series["forecast"], 1)]
    return {"title": str(row["symbol"]), "svg": chart(lines, levels=[Level("", 0.0)], x_format=date, label=str(row["symbol"]))}
