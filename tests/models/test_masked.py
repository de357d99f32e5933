"""Hidden patches: what is hidden is really hidden, what is scored was hidden, and the encoder underneath is an ordinary one."""

import pytest
import torch

from financial_model.config import ATTENTION_BACKBONES, ModelConfig
from financial_model.models.masked import ERROR, MaskedPatches
from financial_model.models.registry import backbone_class
from financial_model.models.stem import patches_of

INPUTS, CONTEXT = 3, 60
BACKBONES = tuple(name for name in ATTENTION_BACKBONES if name not in ("tsf-5m", "tsf-27m"))


def encoder(backbone, seed=0, **settings):
    torch.manual_seed(seed)
    config = ModelConfig(backbone=backbone, patches=True, hidden=16, layers=2, heads=2, experts=3, dropout=0.0, **settings)
    return backbone_class(backbone)(INPUTS, CONTEXT, config.shape(), config)


def masked(backbone="transformer", share=0.75, context=CONTEXT, **settings):
    return MaskedPatches(encoder(backbone, **settings), inputs=INPUTS, context_length=context, size=16, share=share, balance=0.01)


def sample(count=6, seed=1):
    return torch.randn(count, CONTEXT, INPUTS, generator=torch.Generator().manual_seed(seed))


def test_three_quarters_of_the_patches_are_hidden_and_never_all():
    model = masked()
    assert model.patches == patches_of(CONTEXT) == 4
    assert (model.draw(50).sum(1) == 3).all()
    assert masked(share=0.9).hidden == 3 and masked(share=0.1).hidden == 1


def test_every_patch_has_its_turn():
    assert (masked().draw(400).float().mean(0) - 0.75).abs().max() < 0.1


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("stem", ["linear", "mscnn"])
def test_hidden_bars_reach_no_answer(backbone, stem):
    """Change every hidden bar: the guesses stay what they are, so nothing of them leaked through overlap or convolution."""
    model, x = masked(backbone, stem=stem).eval(), sample()
    mask = model.draw(len(x), generator=torch.Generator().manual_seed(3))
    hidden = ~model.visible(mask)[:, model.padding:]
    changed = torch.where(hidden.unsqueeze(-1), torch.tensor(9.0), x)
    guesses = []
    model.decode.register_forward_hook(lambda module, inputs, output: guesses.append(output))
    model.reconstruct(x, mask), model.reconstruct(changed, mask)
    assert hidden.any() and torch.equal(*guesses)


def test_only_hidden_bars_are_scored():
    model, x = masked(), sample(1)
    mask = torch.tensor([[True, False, True, True]])  # the window begins 12 bars into the first patch
    guess = torch.zeros(1, model.patches, 24 * INPUTS)
    visible = model.visible(mask)[0, model.padding:]
    begin = 16 - model.padding
    assert visible.nonzero().flatten().tolist() == list(range(begin, begin + 24))
    scored = x.clone()
    scored[:, visible] = 1e6
    torch.testing.assert_close(model.error(guess, scored, mask), model.error(guess, x, mask))
    assert model.error(guess, x * 2, mask).item() == pytest.approx(4 * model.error(guess, x, mask).item())


@pytest.mark.parametrize("context", [25, 40, 41, 60])
def test_any_window_of_two_patches_has_something_to_guess(context):
    model = MaskedPatches(encoder("transformer"), inputs=INPUTS, context_length=context, size=16, share=0.75, balance=0.0)
    error = model(torch.randn(8, context, INPUTS))[ERROR]
    assert error.shape == (8,) and torch.isfinite(error).all() and (error > 0).all()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_encoder_underneath_is_an_ordinary_one_without_a_mask(backbone):
    plain, model, x = encoder(backbone).eval(), masked(backbone), sample()
    fresh = encoder(backbone, seed=7)
    fresh.load_state_dict(model.encoder_state())

    def state(module):
        found = module.eval()(x)
        return found[0] if isinstance(found, tuple) else found

    assert torch.equal(state(fresh), state(plain)), "the same weights, and no mask in evaluation"


@pytest.mark.parametrize("backbone", BACKBONES)
def test_gradients_reach_every_weight_that_makes_a_guess(backbone):
    model = masked(backbone).train()
    outputs = model(sample(32))
    sum(output.sum() for output in outputs.values()).backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]
