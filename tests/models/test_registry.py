import pytest
from torch import nn

from financial_model import config
from financial_model.errors import ConfigError
from financial_model.models.registry import BACKBONES, Backbone, backbone, backbone_class


def test_every_backbone_a_user_can_choose_is_there_and_no_other():
    for name in config.BACKBONES:
        assert issubclass(backbone_class(name), nn.Module)
    assert set(BACKBONES) == set(config.BACKBONES) == set(config.BACKBONE_SHAPES)


def test_an_unknown_backbone_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="no model called “lstn”.*cnn_lstm, gru, lstm"):
        backbone_class("lstn")


def test_a_name_cannot_stand_twice():
    backbone_class("lstm")
    with pytest.raises(ValueError, match="stands twice"):
        backbone("lstm")(type("Another", (Backbone,), {"__module__": "financial_model.models.backbones.other"}))
    with pytest.raises(ConfigError, match="“gru” is taken"):
        backbone("gru")(type("Another", (Backbone,), {}))
    with pytest.raises(ConfigError, match="cannot be used"):
        backbone("../up")(type("Another", (Backbone,), {}))


def test_one_decorator_makes_a_new_backbone(monkeypatch, own_choices):
    from financial_model.models import registry
    from financial_model.models.registry import backbone as register

    monkeypatch.setattr(registry, "BACKBONES", dict(BACKBONES))
    added = register("mine")(type("Mine", (Backbone,), {}))
    assert backbone_class("mine") is added
