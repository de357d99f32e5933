"""How large a model is and how long one of its steps takes on this machine: built and timed in a process of its own, once per shape.

In: a configuration and the number of its inputs. Out: parameters, seconds a step, bytes a step needs. The page's process asks, waits for nothing,
and never loads torch; what was measured once is kept beside the panels. It knows no data: random numbers take as long as real ones.
"""

from __future__ import annotations

import json
import logging
import platform
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

from financial_model import config as settings
from financial_model.config import RunConfig
from financial_model.datasets import child, fingerprint
from financial_model.errors import KairosError
from financial_model.paths import Workspace, atomic_write

logger = logging.getLogger(__name__)

ROWS = 64
"""Windows of the timed batch on a CPU; a larger batch takes proportionally longer."""
TIMED = 2
ENOUGH = 3.0
"""Seconds after which a shape is not timed any further."""
STATE_BYTES = 16
"""Of a parameter while it is trained: itself, its gradient, two moments."""
KEPT = 200


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What was measured."""

    parameters: int
    step_seconds: float | None = None
    """One training step with a full batch; None while it is being timed."""
    forecast_seconds: float | None = None
    """One batch of an evaluation."""
    memory: int | None = None
    """Bytes a step needs beside the data: weights, gradients, optimiser, activations."""

    @property
    def whole(self) -> bool:
        return self.step_seconds is not None


def key_of(config: RunConfig, inputs: int) -> str:
    """The same for configurations that measure the same."""
    training = config.training
    return fingerprint.combined([
        asdict(config.model), inputs, config.features.context_length, config.label.horizon, config.head(), config.objective(), training.batch_size,
        training.device, training.precision, training.compile, platform.node()])


class Prober:
    """Measures in the background, one shape at a time; only the newest wish counts. Safe to share between threads."""

    def __init__(self, workspace: Workspace) -> None:
        self._path = workspace.panels / "probes.json"
        self._lock = threading.Lock()
        self._known: dict[str, Probe] | None = None
        self._counted: dict[str, Probe] = {}
        """Built, and still being timed."""
        self._failed: dict[str, KairosError] = {}
        self._wish: tuple[str, RunConfig, int] | None = None
        self._thread: threading.Thread | None = None

    def known(self, key: str) -> Probe | KairosError | None:
        """What is known of a shape: its measurement, why it cannot be built, or nothing yet."""
        with self._lock:
            if self._known is None:
                self._known = self._read()
            return self._known.get(key) or self._counted.get(key) or self._failed.get(key)

    def want(self, config: RunConfig, inputs: int) -> str:
        """Have a shape measured if it is not known; its key."""
        key = key_of(config, inputs)
        if self.known(key) is None:
            with self._lock:
                self._wish = (key, config, inputs)
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._work, name="probe", daemon=True)
                    self._thread.start()
        return key

    def _work(self) -> None:
        while True:
            with self._lock:
                wish, self._wish = self._wish, None
                if wish is None:
                    self._thread = None
                    return
            key, config, inputs = wish
            job = {"config": settings.to_dict(config), "inputs": inputs}
            try:
                found = Probe(**child.run("financial_model.serving.probe", job, progress=lambda *said, key=key: self._count(key, int(said[1]))))
            except KairosError as error:
                with self._lock:
                    self._failed[key] = error
            except Exception:  # a thread of its own: said in the log, and in the form by the dash that stays
                logger.exception("a model could not be measured")
                with self._lock:
                    self._failed[key] = KairosError("serving.probe_failed")
            else:
                self._keep(key, found)

    def _count(self, key: str, parameters: int) -> None:
        with self._lock:
            self._counted[key] = Probe(parameters=parameters)

    def _keep(self, key: str, found: Probe) -> None:
        with self._lock:
            known = {**dict(list((self._known or {}).items())[-KEPT:]), key: found}
        try:
            atomic_write(self._path, json.dumps({name: asdict(probe) for name, probe in known.items()}))
        except KairosError as error:  # a read-only workspace: measured again next time
            logger.warning("%s", error)
        with self._lock:
            self._known = known

    def _read(self) -> dict[str, Probe]:
        try:
            return {name: Probe(**entry) for name, entry in json.loads(self._path.read_text("utf-8")).items()}
        except (OSError, ValueError, TypeError):
            return {}


# ---------------------------------------------------------------- the child's side
def measure(job: dict[str, Any], progress: child.Progress) -> dict[str, Any]:
    """Build the model of ``job``, time its steps on random windows."""
    import torch

    from financial_model import runtime
    from financial_model.models.forecaster import build_forecaster, parameters
    from financial_model.objectives import objective
    from financial_model.training.step import TrainingStep

    config, inputs = settings.from_dict(job["config"]), int(job["inputs"])
    training, device = config.training, runtime.device(config.training.device)
    model = build_forecaster(config.model, head=config.head(), inputs=inputs, context_length=config.features.context_length,
                             horizon=config.label.horizon).to(device)
    progress("parameters", parameters(model), 0)
    step = TrainingStep(model, objective(config.objective(), config), training, device=device,
                        precision=runtime.precision(training.precision, device), compiled=False, notice=lambda *args, **fields: None)
    rows = training.batch_size if device.type == "cuda" else min(training.batch_size, ROWS)
    batch, small = _batch(rows, inputs, config, device), _batch(2, inputs, config, device)

    def learn(batch: Any = batch) -> None:
        step.backward(batch, 1.0, 0)
        step.update(1e-6)

    def forecast() -> None:
        with torch.no_grad(), step.autocast():
            model(batch.x, batch.condition, batch.ranks)

    learn(small)  # what torch loads at its first step is not the batch's
    before, share = _memory(device), training.batch_size / rows
    learned = _seconds(learn, device)
    activations = max(_memory(device) - before, 0) * share
    model.eval()
    return {"parameters": parameters(model), "step_seconds": learned * share, "forecast_seconds": _seconds(forecast, device) * share,
            "memory": int(STATE_BYTES * parameters(model) + activations)}


def _batch(rows: int, inputs: int, config: RunConfig, device: Any) -> Any:
    import torch

    from financial_model.config import CLASSES, CONDITION_SIZES, FIGURES, RANKS
    from financial_model.datasets.batches import Batch

    horizon = config.label.horizon
    made = Batch(
        x=torch.randn(rows, config.features.context_length, inputs),
        condition=torch.stack([torch.randint(size, (rows,)) for size in CONDITION_SIZES], 1),
        ranks=torch.rand(rows, len(RANKS)) - 0.5, y=torch.randn(rows, horizon), label=torch.randint(len(CLASSES), (rows,)),
        z=torch.randn(rows, horizon + len(FIGURES) * (config.head() == "multi")), unit=torch.ones(rows, horizon), spread=torch.ones(rows, horizon),
        end=torch.arange(rows), date=torch.arange(rows) // 32)
    return made.map(lambda tensor: tensor.to(device))


def _seconds(work: Any, device: Any) -> float:
    """The fastest of some turns, after one that does not count."""
    import torch

    found = []
    for _ in range(TIMED + 1):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - began)
        if sum(found) > ENOUGH:  # a large model: one turn says enough
            break
    return min(found[1:] or found)


def _memory(device: Any) -> int:
    """Bytes this process has held at most: on the GPU, or in memory."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated())
    try:
        import resource
    except ImportError:  # Windows: the weights alone are counted
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    sys.exit(child.serve(measure))
