"""One optimisation step: forward, objective, backward, clipping, AdamW; in the chosen precision, eager or compiled.

In: batches on the device, each with its share of the step. Out: the loss and the gradient's norm, as tensors that were not waited for.
It knows no data set, no epochs, no files and no clock. The random numbers of a batch (dropout, the share of a blend) depend on the seed and the
batch's number alone, so a resumed run draws the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch

from financial_model import runtime
from financial_model.config import TrainConfig
from financial_model.errors import KairosError
from financial_model.models.forecaster import AUXILIARY
from financial_model.training.compiled import CompiledFiles, is_compiler_error, reason
from financial_model.training.mixup import blended, share_of
from financial_model.training.optimizer import ClippingAdamW, adamw

if TYPE_CHECKING:
    from financial_model.datasets.loader import Batch

Objective = Callable[[dict[str, torch.Tensor], torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
Guide = Callable[..., dict[str, torch.Tensor]]
"""What a frozen model says about the same windows (x, condition, ranks, date), under a name of its own, for an objective that compares with it."""
Gradients = list[tuple[torch.nn.Parameter, torch.Tensor]]
Notice = Callable[..., None]
"""Called with a key of the catalogue and its fields when a step had to change its ways."""


class NotFiniteError(ArithmeticError):
    """The loss or its gradient is not a number; the weights have not been touched by it."""


class TrainingStep:
    """The model, its optimiser and what it takes to move it once."""

    def __init__(self, model: torch.nn.Module, objective: Objective, config: TrainConfig, *, device: torch.device, precision: str,
                 compiled: bool, notice: Notice, recordable: bool = False, guide: Guide | None = None, full: int = 0,
                 summed: bool = False, compared: bool = False) -> None:
        """``recordable``: the learning rate and the optimiser's counts live on the device, so that ``graph.py`` can record the step.
        ``full``: windows of a full batch here, where it is not the whole one. ``summed``: gradients of several processes are summed between
        backward and update, so what is not a number is told then, by all of them at once. ``compared``: the windows of a batch are compared
        with each other, so that a halved batch asks a little less; its notice says so."""
        self.model, self.objective, self.device, self.precision, self.guide = model, objective, device, precision, guide
        self._config, self._notice = config, notice
        self._share = torch.ones((), device=device) if config.mixup else None
        self.optimizer = adamw(model, config, device, recordable=recordable)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        self._compiled = self._compile() if compiled else None
        self._files = CompiledFiles() if compiled else None
        self._compiled_rows, self._afresh, self._summed = full or config.batch_size, False, summed
        self._compared = compared
        self.looks = device.type == "cpu"
        """Whether each loss and gradient is looked at as it comes; a GPU would have to be waited for."""
        self.lost = torch.zeros((), device=device)
        """1 from the first gradient on that was not a number, where nobody looks: the optimiser moves nothing any more, see ``refuse_lost``."""
        self.rows = 0
        """Most windows of a batch that go through the model at once; 0: all. Halved when memory runs out."""

    @property
    def compiled(self) -> bool:
        """Whether full batches go through the compiler, so far."""
        return self._compiled is not None

    def backward(self, batch: Batch, share: float, number: int) -> torch.Tensor:
        """Add the gradient of one batch to the step, weighted by its ``share`` of the step's windows; the batch's mean loss [].

        ``number`` counts the batches of the run. Raises ``NotFiniteError``; on a GPU ``refuse_lost`` does, later.
        Where memory runs out the batch is split in half; where files of earlier compilations are damaged, all is compiled anew elsewhere, once; where
        the compiler fails it is left aside. Then the batch is tried again; the gradient of earlier batches of the same step is not touched by that.
        """
        rows, earlier = len(batch.label), self._set_aside()
        while True:
            self.begin(number)
            try:
                loss = self._backward(batch, share, min(self.rows or rows, rows))
                _add_back(earlier)
                return loss
            except Exception as error:  # sorted below; what is neither goes on its way
                if not (is_out_of_memory(error) or self._compiled is not None and self._is_compilers(error)):
                    raise
                failure = error
            self.optimizer.zero_grad(set_to_none=True)
            if is_out_of_memory(failure):
                self._halve(min(self.rows or rows, rows))
                continue
            if not self._afresh and self._files is not None and self._files.are_damaged(failure):
                self._afresh, fresh = True, self._files.leave()
                self._compiled = self._compile()
                self._notice("training.compile_stale", reason=reason(failure), folder=str(self._files.folder), fresh=str(fresh))
            else:
                self._compiled = None
                self._notice("training.compile_failed", reason=reason(failure))

    def begin(self, number: int) -> None:
        """Let what is drawn next be the random numbers of batch ``number``."""
        seed_batch(self.device, self._config.seed, number)
        if self._share is not None:
            self._share.fill_(share_of(self._config, number))

    def update(self, learning_rate: float) -> torch.Tensor:
        """Clip, move the weights, clear the gradient; the gradient's norm before clipping []."""
        self.set_rate(learning_rate)
        return self._move()

    def refuse_lost(self) -> None:
        """Wait for the device and raise ``NotFiniteError`` where a gradient was not a number; the weights are still those of before it."""
        if self.lost:
            raise NotFiniteError("gradient")

    def set_rate(self, learning_rate: float) -> None:
        """The learning rate of the next move."""
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(learning_rate)
            else:
                group["lr"] = learning_rate

    def whole(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Backward and move at the rate that is set, (loss [], norm []), with nothing that a recording could not hold: no seed, no look."""
        loss = self._backward(batch, 1.0, len(batch.label))
        return loss, self._move()

    def _move(self) -> torch.Tensor:
        limit = self._config.clip_norm or float("inf")
        if isinstance(self.optimizer, ClippingAdamW) and not self.scaler.is_enabled():
            norm = self.optimizer.clip_and_step(limit, self.lost)
            self.optimizer.zero_grad(set_to_none=True)
            return norm
        if self.scaler.is_enabled():
            self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit)
        if not self.scaler.is_enabled():  # which leaves such a step out by itself
            self._hold(norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def _hold(self, norm: torch.Tensor) -> None:
        """Let no gradient that is not a number move a weight, a moment or a count: raise, or tell the optimiser on the device."""
        if self.looks:
            if not torch.isfinite(norm):
                raise NotFiniteError("gradient")
            return
        torch.maximum(self.lost, (~torch.isfinite(norm)).to(self.lost.dtype), out=self.lost)
        # the fused optimiser leaves everything as it is where this is 1, as for a loss scaler; the other kind refuses to be told
        if self.optimizer.defaults["fused"]:
            self.optimizer.found_inf = self.lost  # type: ignore[attr-defined]

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of the forward pass."""
        return autocast(self.device, self.precision)

    def _backward(self, batch: Batch, share: float, rows: int) -> torch.Tensor:
        total = torch.zeros((), device=self.device)
        if self._share is not None:
            batch = blended(batch, self._share)
        for part in _parts(batch, rows):
            weight = len(part["label"]) / len(batch.label)
            # compiled for full batches; a shorter one (the last of an epoch, a half one) goes the eager way instead of compiling anew
            losses = self._losses if self._compiled is None or len(part["label"]) != self._compiled_rows else self._compiled
            whole, loss = losses(*part.values())
            if self.looks and not self._summed and not torch.isfinite(loss):
                raise NotFiniteError("loss")
            self.scaler.scale(whole * (share * weight)).backward()
            total += loss.detach() * weight
        return total

    def _losses(self, x: torch.Tensor, condition: torch.Tensor, ranks: torch.Tensor, z: torch.Tensor, label: torch.Tensor,
                date: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(what is differentiated [], the objective alone [], which the curve shows as the validation does)."""
        with self.autocast():
            outputs = dict(self.model(x, condition, ranks, date))
            if self.guide is not None:
                outputs |= self.guide(x, condition, ranks, date)
        auxiliary = outputs.pop(AUXILIARY, None)
        loss = self.objective({name: output.float() for name, output in outputs.items()}, z, label, date)
        return loss if auxiliary is None else loss + auxiliary, loss

    def _compile(self) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
        """Not dynamic: a random context has a few lengths, and a program for each is faster than one for all."""
        # on a GPU a small kernel takes as long to begin as to work, so those that do not wait for each other become one
        options: dict[str, Any] = {"options": {"combo_kernels": True}} if self.device.type == "cuda" else {}
        return torch.compile(self._losses, dynamic=False, **options)

    def _set_aside(self) -> Gradients:
        """The gradient so far, out of the way of a backward pass that may fail half way."""
        earlier = [(parameter, parameter.grad) for parameter in self.model.parameters() if parameter.grad is not None]
        for parameter, _ in earlier:
            parameter.grad = None
        return earlier

    def _is_compilers(self, error: BaseException) -> bool:
        return is_compiler_error(error) or self._files is not None and self._files.are_damaged(error)

    def _halve(self, rows: int) -> None:
        if rows < 2:
            raise KairosError("training.out_of_memory")
        self.rows = (rows + 1) // 2
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self._notice("training.batch_halved_compared" if self._compared else "training.batch_halved", rows=rows, half=self.rows)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The context a forward pass runs in for ``precision`` fp32, tf32 (``runtime.float32_products``), bf16 or fp16."""
    if precision in ("fp32", "tf32"):
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16 if precision == "bf16" else torch.float16)


def _add_back(earlier: Gradients) -> None:
    for parameter, gradient in earlier:
        parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)


def choose_compile(choice: str, device: torch.device) -> tuple[bool, str]:
    """Whether to compile, and the catalogue key that says why."""
    if choice == "off":
        return False, "training.compile_off"
    if choice == "auto" and device.type != "cuda":
        return False, "training.compile_cpu"
    if not runtime.can_compile(device):
        return False, "training.compile_missing"
    return True, "training.compile_on" if choice == "on" else "training.compile_gpu"


def seed_batch(device: torch.device, seed: int, number: int) -> None:
    """Let the random numbers of a batch depend on the seed and its number only: what else runs in the process does not matter."""
    mixed = (seed * 0x9E3779B97F4A7C15 + number * 0xBF58476D1CE4E5B9 + 1) % 2**63  # odd multipliers: neighbours end far apart
    generator = torch.cuda.default_generators[device.index or 0] if device.type == "cuda" else torch.default_generator
    generator.manual_seed(mixed)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device or the machine had no memory left (torch reports its CPU allocator's failure as a plain RuntimeError)."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def _parts(batch: Batch, rows: int) -> Iterator[dict[str, torch.Tensor]]:
    """The batch in pieces of at most ``rows`` windows."""
    names = ("x", "condition", "ranks", "z", "label", "date")
    for start in range(0, len(batch.label), rows):
        yield {name: getattr(batch, name)[start:start + rows] for name in names}
