import pytest
import torch

from financial_model.config import CONDITION_SIZES, CONDITIONS, ModelConfig
from financial_model.errors import ConfigError
from financial_model.models.condition import ConditionEmbedding, build_condition
from tests.models.builders import small_model, windows

torch.set_num_threads(1)


def test_the_embedding_holds_industry_style_regime_and_the_ranks():
    embedding = ConditionEmbedding(ModelConfig())
    assert embedding.output_size == 32 + 16 + 16 + 4
    _, condition, ranks = windows(6)
    out = embedding(condition, ranks)
    assert out.shape == (6, 68)
    assert torch.equal(out[:, -4:], ranks)
    assert torch.equal(out[:, :32], embedding.tables["industry"](condition[:, 0]))


def test_the_four_styles_share_one_vector():
    embedding = ConditionEmbedding(ModelConfig())
    _, condition, ranks = windows(6)
    parts = [embedding.tables[name](condition[:, column]) for column, name in enumerate(CONDITIONS) if name not in ("industry", "regime")]
    assert torch.allclose(embedding(condition, ranks)[:, 32:48], sum(parts))


def test_unknown_has_a_row_of_its_own_that_starts_silent():
    embedding = ConditionEmbedding(ModelConfig())
    for (name, table), size in zip(embedding.tables.items(), CONDITION_SIZES, strict=True):
        assert table.num_embeddings == size == len(CONDITIONS[name]) + 1
        assert not table.weight[-1].any() and table.weight[:-1].any()
    unknown = torch.tensor([[size - 1 for size in CONDITION_SIZES]])
    assert not embedding(unknown, torch.zeros(1, 4)).any()


def test_film_is_the_identity_before_training():
    torch.manual_seed(0)
    film = build_condition("film", 8, ModelConfig())
    state = torch.randn(6, 8)
    assert torch.equal(film(state, *windows(6)[1:]), state)
    assert film.output_size == 8


def test_concat_is_linear_in_the_state_and_starts_without_the_condition():
    torch.manual_seed(0)
    concat = build_condition("concat", 8, ModelConfig())
    state, (_, condition, ranks) = torch.randn(6, 8), windows(6)
    assert torch.equal(concat(state, condition, ranks), concat.mix(state))
    torch.nn.init.normal_(concat.gate_shift.weight)
    zero = concat(state * 0, condition, ranks)
    assert torch.allclose(concat(3 * state, condition, ranks) - zero, 3 * (concat(state, condition, ranks) - zero), atol=1e-3)


def test_film_scales_and_shifts_each_component():
    torch.manual_seed(0)
    film = build_condition("film", 2, ModelConfig())
    with torch.no_grad():
        film.scale_shift.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 5.0]))
    assert torch.equal(film(torch.tensor([[3.0, 4.0]]), *windows(1)[1:]), torch.tensor([[6.0, 9.0]]))


def test_none_ignores_the_classes():
    model = small_model("mlp", condition="none").eval()
    x, condition, ranks = windows(4)
    assert torch.equal(model(x, condition, ranks)["point"], model(x, condition * 0, ranks * 0)["point"])


@pytest.mark.parametrize("mode", ["concat", "film"])
def test_every_one_of_the_six_classes_and_the_ranks_matter(mode):
    torch.manual_seed(0)
    layer = build_condition(mode, 8, ModelConfig(dropout=0.0))
    torch.nn.init.normal_((layer.scale_shift if mode == "film" else layer.gate_shift).weight)
    state, (_, condition, ranks) = torch.randn(1, 8), windows(1)
    before = layer(state, condition, ranks)
    for column in range(6):
        changed = condition.clone()
        changed[:, column] += 1
        assert not torch.equal(layer(state, changed, ranks), before)
    assert not torch.equal(layer(state, condition, ranks + 0.1), before)


@pytest.mark.parametrize("mode", ["concat", "film"])
def test_condition_and_signal_can_interact(mode):
    """The sign of one signal flips with the regime: what a sum of the two could never learn."""
    torch.manual_seed(0)
    layer = build_condition(mode, 4, ModelConfig(dropout=0.0))
    head = torch.nn.Linear(4, 1)
    state = torch.randn(256, 4)
    condition = torch.zeros(256, 6, dtype=torch.int64)
    condition[:, 5] = torch.arange(256) % 2
    target = state[:, :1] * (1 - 2 * condition[:, 5:])
    optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.02)
    for _ in range(150):
        loss = (head(layer(state, condition, torch.zeros(256, 4))) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.2 * target.var()


def test_an_unknown_mode_is_refused():
    with pytest.raises(ConfigError, match="none, concat, film"):
        build_condition("add", 8, ModelConfig())
