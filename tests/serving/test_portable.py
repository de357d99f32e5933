"""An exported file takes raw windows, and forecasts what the checkpoint forecasts."""

import json

import numpy as np
import pytest
import torch

from financial_model import runtime
from financial_model.config import BACKBONES, FIGURES, to_dict
from financial_model.datasets.windows import window_ends
from financial_model.errors import ConfigError
from financial_model.models.forecaster import build_forecaster
from financial_model.serving import portable
from financial_model.serving.forecaster import LoadedForecaster
from financial_model.serving.portable import export_run
from financial_model.serving.predictor import Predictor
from financial_model.serving.raw_windows import RawForecaster
from tests.serving.builders import tiny
from tests.training.builders import make_panel


def loaded(features=3, *, table=True, extras=None, unit="volatility", **settings):
    """A forecaster with fresh weights and the header a training would write."""
    config = tiny(hidden=16, heads=2, layers=1, unit=unit, **settings)
    torch.manual_seed(0)
    model = build_forecaster(config.model, head=config.head(), inputs=features, context_length=8, horizon=3).eval()
    random = np.random.default_rng(0)
    fitted = {"center": random.normal(0, 1, features).tolist(), "scale": random.uniform(0.5, 2, features).tolist()}
    header = {
        "config": to_dict(config), "head": config.head(), "features": [f"f{i}" for i in range(features)], "inputs": features, "context_length": 8,
        "symbols": ["600000.SH"], "label_scale": [0.02, 0.03, 0.04], "extras": extras or {}, "weights_hash": "0", "label": {},
        "table": fitted if table else None}
    return LoadedForecaster(model, header)


SHAPES = [
    dict(head="quantile", normalisation="robust"), dict(head="quantile", normalisation="zscore"), dict(head="quantile", normalisation="last_close"),
    dict(head="point", extras={"residual_quantiles": np.linspace(-1, 1, 21).reshape(3, 7).tolist(), "scale": [0.5, 0.6, 0.7]}, unit="return"),
    dict(head="classes", extras={"residual_quantiles": np.linspace(-1, 1, 21).reshape(3, 7).tolist(),
                                 "class_means": [[1.0, 0.1, -1.0], [1.5, 0.0, -1.2], [2.0, 0.2, -1.4]]}, condition="film"),
    dict(head="multi", extras={"residual_quantiles": np.linspace(-1, 1, 21).reshape(3, 7).tolist()}),
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape['head']}-{shape.get('normalisation', '')}")
def test_raw_windows_give_what_a_panel_gives(shape, tmp_path):
    made = loaded(**{"normalisation": "robust", **shape})
    panel = make_panel(tmp_path / "panel", features=3)
    ends = window_ends(panel, int(panel.time.min()), int(panel.time.max()), 8, 3, labelled=False)[::7]
    made.features = tuple(panel.feature_names)
    expected = made.predict_panel(panel, ends)
    rows = ends[:, None] + np.arange(-7, 1)
    inputs = (panel.values[rows], panel.conditions[ends].astype(np.int64), panel.ranks[ends], panel.volatility[ends])
    raw = RawForecaster(made).eval()
    with torch.no_grad():
        found = dict(zip(raw.outputs, (part.numpy() for part in raw(*(torch.from_numpy(np.array(part)) for part in inputs))), strict=True))
    for name, values in found.items():
        np.testing.assert_allclose(values, getattr(expected, name.removeprefix("expected_")), atol=2e-7, rtol=1e-5, err_msg=name)
    figures = {f"expected_{name}" for name in FIGURES if getattr(expected, name) is not None}
    assert set(found) == figures | {name for name in ("expected", "quantiles", "probabilities") if getattr(expected, name) is not None}


@pytest.mark.parametrize("backbone", [name for name in BACKBONES if name not in ("mlp", "gru", "tsf-5m", "tsf-27m")])
def test_every_backbone_gives_the_same_answers_in_a_graph(backbone):
    """The graph is what both formats are made from; mlp and gru become files below, and the sizes of tsf differ in nothing else."""
    made = loaded(backbone=backbone, condition="none" if backbone == "tsf" else "film")
    raw = RawForecaster(made).eval()
    graph = portable._traced(raw).module()
    inputs = raw.example(7, seed=3)
    with torch.no_grad():
        torch.testing.assert_close(graph(*inputs), raw(*inputs), atol=1e-6, rtol=1e-5)


def test_onnx_runs_without_torch_and_says_what_it_wants(copied, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    run, target = Predictor(copied).runs.list()[0].id, tmp_path / "model.onnx"
    found = export_run(copied, run, target)
    assert found["format"] == "onnx" and found["difference"] < 1e-6 and found["bytes"] == target.stat().st_size
    words = json.loads((tmp_path / "model.onnx.json").read_text("utf-8"))
    forecaster = Predictor(copied).forecaster(run)
    assert words["features"] == list(forecaster.features) and words["inputs"]["values"]["shape"] == ["batch", 8, len(forecaster.features)]
    assert words["run"] == run and words["outputs"]["quantiles"]["shape"] == ["batch", 3, len(words["quantile_levels"])]
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    panel = Predictor(copied)._panel(forecaster)
    ends = window_ends(panel, int(panel.time.max()), int(panel.time.max()), 8, 3, labelled=False)
    values = panel.values[ends[:, None] + np.arange(-7, 1)]
    given = {"values": values, "condition": panel.conditions[ends].astype(np.int64), "ranks": panel.ranks[ends], "volatility": panel.volatility[ends]}
    expected = forecaster.predict_panel(panel, ends).quantiles
    np.testing.assert_allclose(session.run(["quantiles"], {name: np.array(part) for name, part in given.items()})[0], expected, atol=1e-6)


def test_onnx_holds_every_task_of_the_head_multi(tmp_path):
    pytest.importorskip("onnxruntime")
    found = portable.write(loaded(head="multi", backbone="mlp"), tmp_path / "model.onnx", "onnx", about={})
    words = json.loads((tmp_path / "model.onnx.json").read_text("utf-8"))
    assert found["difference"] < 1e-6 and list(words["outputs"]) == ["expected", "probabilities", "expected_volatility", "expected_momentum"]


@pytest.mark.skipif(not runtime.can_compile(torch.device("cpu")), reason="no C++ compiler")
def test_a_compiled_package_gives_the_same(tmp_path):
    from torch._inductor import config as compiler

    # precompiled headers speed up the second compilation, and there is one
    with compiler.patch({"cpp_cache_precompile_headers": False, "aot_inductor.precompile_headers": False}):
        found = portable.write(loaded(backbone="mlp"), tmp_path / "model.pt2", "aoti", about={})
    assert found["difference"] < 1e-6 and (tmp_path / "model.pt2").stat().st_size > 10_000


def test_safetensors_is_the_checkpoint_byte_for_byte(copied, tmp_path):
    run = Predictor(copied).runs.list()[0].id
    export_run(copied, run, tmp_path / "model.bin")
    assert (tmp_path / "model.bin").read_bytes() == Predictor(copied).runs.checkpoint(run).read_bytes()


@pytest.mark.parametrize("form, packages, key", [("onnx", True, "export.needs_packages"), ("aoti", False, "export.needs_compiler")])
def test_a_machine_that_lacks_something_says_what(monkeypatch, copied, tmp_path, form, packages, key):
    monkeypatch.setattr(portable, "find_spec", lambda name: None)
    monkeypatch.setattr(runtime, "can_compile", lambda device: False)
    with pytest.raises(ConfigError) as caught:
        export_run(copied, Predictor(copied).runs.list()[0].id, tmp_path / "model", form=form)
    assert caught.value.key == key and not list(tmp_path.glob("model*"))


def test_an_unknown_format_is_refused(copied, tmp_path):
    with pytest.raises(ConfigError, match="tflite"):
        export_run(copied, Predictor(copied).runs.list()[0].id, tmp_path / "model", form="tflite")


def test_a_model_that_has_no_graph_says_so_and_leaves_no_file(tmp_path):
    class Counting(torch.nn.Module):
        def forward(self, x, condition, ranks, date=None):
            return {"quantiles": torch.zeros(len(x), 3, 7) + float(x.sum())}  # a number read back from a tensor is no graph

    made = loaded()
    made.model = Counting()
    with pytest.raises(ConfigError) as caught:
        portable.write(made, tmp_path / "model.onnx", "onnx", about={})
    assert caught.value.key == "export.cannot" and "gru" in str(caught.value) and not list(tmp_path.iterdir())


def test_a_file_that_forecasts_otherwise_is_not_kept(monkeypatch, tmp_path):
    def wrong(raw, path):
        path.write_bytes(b"?")
        return "any", lambda *inputs: tuple(part + 0.01 for part in raw(*inputs))

    monkeypatch.setattr(portable, "_onnx", wrong)
    with pytest.raises(ConfigError) as caught:
        portable.write(loaded(), tmp_path / "model.onnx", "onnx", about={})
    assert caught.value.key == "export.differs" and not list(tmp_path.iterdir())
