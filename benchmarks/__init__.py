"""Every figure in the README and in docs/benchmarks.md comes from here: ``python -m benchmarks [--quick] [--only NAME]``.

One file per benchmark, each with ``run(quick) -> list[Row]``. A figure is a ratio to something measured in the same run, taking turns with it.
"""
