"""The built-in features, one file a group; importing this package registers them all in the order below."""

from financial_model.features.indicators import (  # noqa: F401, I001  the order here is the order of the list
    price,
    returns,
    volatility,
    volume,
    calendar,
    lag,
    momentum,
    trend,
    reversal,
    relation,
    technical,
    market,
    industries,
    payoff,
    rank,
    alpha,
)
