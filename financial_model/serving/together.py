"""A run on several processes: what the first one tells the others, and what those do meanwhile.

In: the processes of a launch. Out: nothing but the work itself; the run belongs to the first process, which is in ``experiment.run_training``.
The panel is built by the first process, and once more on every other machine whose disk does not show it. After a restart the launch goes on
with its run, unless that had ended for a reason that would only repeat itself.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from financial_model import config as settings
from financial_model.config import RunConfig
from financial_model.errors import DataError, KairosError
from financial_model.paths import Workspace
from financial_model.serving.runs import RunInfo, RunStore
from financial_model.training.processes import Processes, Whispered, lost

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel


def call(processes: Processes, config: RunConfig, panel: Panel, folder: Path, *, resume: bool, base: Path | None) -> None:
    """Tell the others what is trained, and wait until each has its panel."""
    processes.lead(lambda: {"config": settings.to_dict(config), "fingerprint": panel.fingerprint, "folder": str(folder.resolve()), "resume": resume,
                            "base": None if base is None else str(base.resolve())})
    processes.every(None)


def follow(workspace: Workspace, processes: Processes, stop: threading.Event) -> None:
    """Train along with the first process, which writes everything, and stay until it has judged the run."""
    from financial_model.datasets.panel import open_panel
    from financial_model.training.trainer import train

    told = processes.lead(_first_one)
    if "config" not in told:  # there was nothing to train
        return
    config = settings.from_dict(told["config"])
    folder = _panel(workspace, config, told["fingerprint"], processes)
    train(config, open_panel(folder), Path(told["folder"]), stop=stop, events=Whispered(), resume=told["resume"],
          base=None if told["base"] is None else Path(told["base"]), processes=processes)
    processes.lead(_first_one)


def dismiss(processes: Processes, run: RunInfo) -> None:
    """Let the others go: ``run`` has ended."""
    processes.lead(lambda: {"state": run.state})


def _first_one() -> None:
    """What only the first process does; the others wait for what it says."""


def _panel(workspace: Workspace, config: RunConfig, fingerprint: str, processes: Processes) -> Path:
    """The folder of the panel on this machine. ``DataError`` when the data here are others."""
    from financial_model.datasets.panel import build_panel

    folder = workspace.panels / fingerprint
    if not folder.is_dir() and processes.builds:
        folder = build_panel(workspace, config)
    processes.every(None)
    if folder.name != fingerprint or not folder.is_dir():
        raise DataError("training.process_data", process=processes.rank, folder=str(workspace.data_dir.resolve()))
    return folder


def unfinished(runs: RunStore, run_id: str) -> RunInfo | None:
    """The run an earlier attempt of this launch worked on, to go on with; None where there is none. ``KairosError`` as that attempt said
    when it ended on its own: the same would happen again."""
    run = runs.get(run_id) if run_id else None
    if run is not None and run.state == "failed" and run.message_key != lost().key:
        raise KairosError(run.message_key, **run.message_fields)
    return run
