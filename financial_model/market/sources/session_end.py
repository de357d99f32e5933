"""Whether today's daily bar is complete: sources deliver the bar of a running session too, and it would change after being stored."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

_CLOSES = {"CN": (ZoneInfo("Asia/Shanghai"), time(15, 10)), "US": (ZoneInfo("America/New_York"), time(16, 20))}


def last_complete_day(market: str, now: datetime | None = None) -> np.datetime64:
    """The newest calendar day whose session is over in ``market`` (CN or US) at ``now`` (any zone; default: the clock)."""
    zone, close = _CLOSES[market]
    local = (now or datetime.now(tz=zone)).astimezone(zone)
    day = local.date() if local.time() >= close else local.date() - timedelta(days=1)
    return np.datetime64(day, "D")
