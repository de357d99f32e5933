"""Windows blended in pairs, their targets with them (mixup, Zhang et al. 2018): a regulariser against learning single windows by heart.

In: the settings, and one batch. Out: how much of each window stays, and the batch of blends. A share depends on the seed and the batch's number
alone, so that a resumed run, another device and a recorded step blend alike. It knows no model, no objective and no step.

The partner of a window is the one at the mirrored place of the batch: batches are shuffled, so partners are drawn at random without another draw.
Of a pair the larger part is always the window itself (a share below a half would be the partner's own blend), so its classes, which are names and
cannot be blended, stand for both; the ranks are numbers and are blended. Batches that hold dates are refused (``config/checks.py``): a blend of two
stocks is no stock of that date, and a blend across dates has no place among the stocks of either.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from financial_model.config import CLASSES, TrainConfig

if TYPE_CHECKING:
    from financial_model.datasets.batches import Batch


def share_of(config: TrainConfig, number: int) -> float:
    """How much of each window of batch ``number`` stays, 0.5 to 1; 1 where the batch is left as it is."""
    random = np.random.default_rng([config.seed, number])
    if not config.mixup or random.random() >= config.mixup_probability:
        return 1.0
    drawn = random.beta(config.mixup_alpha, config.mixup_alpha)
    return float(max(drawn, 1 - drawn))


def blended(batch: Batch, share: Tensor) -> Batch:
    """``share`` [] of each window and the rest of its partner: x, ranks and targets z, and the label as chances [B, C]. The batch stays as it is."""
    def blend(values: Tensor) -> Tensor:
        return share * values + (1 - share) * values.flip(0)

    label = blend(F.one_hot(batch.label, len(CLASSES)).to(batch.z.dtype))
    return replace(batch, x=blend(batch.x), ranks=blend(batch.ranks), z=blend(batch.z), label=label)
