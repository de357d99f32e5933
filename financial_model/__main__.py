"""``python -m financial_model COMMAND`` and, once installed, ``kairos COMMAND``."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 success, 2 a user's error, 1 a bug."""
    from financial_model.cli.main import run

    return run(sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    raise SystemExit(main())
