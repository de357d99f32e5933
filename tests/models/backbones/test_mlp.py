import torch

from tests.models.builders import small_model, windows


def test_mlp_reads_the_last_row_and_nothing_else():
    model = small_model("mlp").eval()
    x, condition, ranks = windows(4)
    earlier = x.clone()
    earlier[:, :-1] = 7
    assert torch.equal(model(x, condition, ranks)["point"], model(earlier, condition, ranks)["point"])
    assert not torch.equal(model(x, condition, ranks)["point"], model(x + 1, condition, ranks)["point"])
