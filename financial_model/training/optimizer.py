"""The optimiser of a step: AdamW with decay on matrices alone, and on a GPU its move with the clipping in a few launches.

In: a model and its settings. Out: an optimiser that torch's code can save and load. It knows no loss, no batch and no precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from financial_model.config import TrainConfig
from financial_model.runtime import has_triton

if TYPE_CHECKING:
    from financial_model.kernels.adamw_gpu import Mover


def adamw(model: torch.nn.Module, config: TrainConfig, device: torch.device, *, recordable: bool = False) -> torch.optim.AdamW:
    """AdamW, fused where the device has it; weight decay on matrices only, never on biases, norms and other vectors.

    ``recordable``: with the learning rate in a tensor, for a CUDA graph.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if not recordable:
        return torch.optim.AdamW(groups, lr=config.learning_rate, fused=device.type in ("cpu", "cuda"))
    rate = torch.tensor(config.learning_rate, device=device)
    kind = ClippingAdamW if device.type == "cuda" and has_triton() and all(map(_plain, trained)) else torch.optim.AdamW
    return kind(groups, lr=rate, fused=device.type in ("cpu", "cuda"), capturable=True)


def _plain(tensor: torch.Tensor) -> bool:
    """Whether the kernel can read it where it lies: numbers of 32 bits one after the other, from a multiple of 16 bytes on."""
    return tensor.dtype == torch.float32 and tensor.is_contiguous() and tensor.data_ptr() % 16 == 0


class ClippingAdamW(torch.optim.AdamW):
    """torch's AdamW, with its own state, that can also clip and move in one go. All groups have one learning rate, a tensor []."""

    _mover: Mover | None = None
    _moved: tuple[torch.nn.Parameter, ...] = ()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._mover = None  # what is remembered lies elsewhere now

    def clip_and_step(self, limit: float, lost: torch.Tensor) -> torch.Tensor:
        """Clip the gradients to a norm of ``limit`` and move; the norm before [].

        Where it is no number ``lost`` [] float32 becomes 1, and while that is so nothing moves.
        """
        moved = tuple(parameter for group in self.param_groups for parameter in group["params"] if parameter.grad is not None)
        if self._mover is None or len(moved) != len(self._moved) or any(one is not other for one, other in zip(moved, self._moved, strict=True)):
            self._mover, self._moved = self._mover_of(moved), moved
        found = [parameter.grad for parameter in moved if parameter.grad is not None]
        gradients = [gradient if _plain(gradient) else gradient.clone(memory_format=torch.contiguous_format) for gradient in found]
        return self._mover(gradients, rate=self.param_groups[0]["lr"], lost=lost, limit=limit)

    def _mover_of(self, moved: tuple[torch.nn.Parameter, ...]) -> Mover:
        from financial_model.kernels.adamw_gpu import Mover

        for parameter in moved:
            if not self.state[parameter]:
                self.state[parameter] = {"step": torch.zeros((), device=parameter.device), "exp_avg": torch.zeros_like(parameter),
                                         "exp_avg_sq": torch.zeros_like(parameter)}
        states = [self.state[parameter] for parameter in moved]
        decays = {parameter: group["weight_decay"] for group in self.param_groups for parameter in group["params"]}
        group = self.param_groups[0]
        return Mover([parameter.detach() for parameter in moved], [state["exp_avg"] for state in states], [state["exp_avg_sq"] for state in states],
                     [state["step"] for state in states], [decays[parameter] for parameter in moved], betas=group["betas"], eps=group["eps"])
