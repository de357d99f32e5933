"""What follows from a return follows from nothing else: prices, fans, orders, portfolios, the columns of an exported file.

In: the settings of a run. Out: a refusal in one sentence where they ask another label. It knows no model and no figure.
"""

from __future__ import annotations

from financial_model.config import RunConfig
from financial_model.errors import ConfigError


def require_returns(config: RunConfig) -> None:
    """``ConfigError`` for a run that was asked another label than returns."""
    if config.label.own:
        raise ConfigError("label.no_return", label=config.label.target)
