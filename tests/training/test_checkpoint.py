"""One file that travels: everything comes back, and whatever is wrong with it is said in one sentence."""

import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from financial_model.config import to_dict
from financial_model.errors import CheckpointError, ConfigError, NotFoundError, StorageError
from financial_model.models.forecaster import build_forecaster
from financial_model.training.checkpoint import (
    load_checkpoint,
    read_header,
    save_checkpoint,
    update_header,
    update_metrics,
    weights_hash,
)
from financial_model.training.container import HEADER_LIMIT, METADATA_KEY, VERSION, encode
from tests.training.builders import make_config

ROOT = Path(__file__).resolve().parents[2]
FEATURES = ["feature_0", "feature_1", "feature_2"]


def forecaster(config):
    torch.manual_seed(1)
    return build_forecaster(config.model, head=config.head(), inputs=3, context_length=config.features.context_length, horizon=config.label.horizon)


def header_of(config, **changes):
    return {"config": to_dict(config), "head": config.head(), "features": FEATURES, "inputs": 3, "context_length": config.features.context_length,
            "symbols": ["600519.SH"], "table": {"center": np.zeros(3, np.float32), "scale": np.ones(3, np.float32)},
            "label_scale": np.array([0.02, 0.03]), "extras": {"residual_quantiles": [[-1.0, 1.0]]}, "metrics": {}, **changes}


@pytest.fixture
def config():
    return make_config()


@pytest.fixture
def path(tmp_path, config):
    save_checkpoint(tmp_path / "best.safetensors", forecaster(config), header_of(config))
    return tmp_path / "best.safetensors"


def rewrite(path, change):
    """The file with its raw header object changed by ``change(entries)``; the weights stay."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    entries = json.loads(data[8:8 + length])
    change(entries)
    text = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length:])


def rewrite_header(path, change):
    def through(entries):
        header = json.loads(entries["__metadata__"][METADATA_KEY])
        change(header)
        entries["__metadata__"][METADATA_KEY] = json.dumps(header)

    rewrite(path, through)


# ---------------------------------------------------------------- what comes back
INPUTS = (torch.randn(5, 6, 3, generator=torch.Generator().manual_seed(0)), torch.ones(5, 6, dtype=torch.int64), torch.zeros(5, 4))
FORECAST = """
import sys, torch
from pathlib import Path
from safetensors.torch import load_file, save_file
from financial_model.training.checkpoint import load_checkpoint
torch.set_num_threads(1)
folder = Path(sys.argv[1])
inputs = load_file(folder / "inputs")
for path in folder.glob("*.safetensors"):
    model, header = load_checkpoint(path)
    with torch.inference_mode():
        output = torch.cat([part.flatten() for part in model(inputs["x"], inputs["condition"], inputs["ranks"]).values()])
    save_file({"output": output}, path.with_suffix(".output"))
"""


def test_a_fresh_process_forecasts_the_same_bits(tmp_path):
    expected = {}
    for head in ("point", "quantile", "classes", "multi"):
        for condition in ("none", "concat", "film"):
            config = make_config(head=head, model={"condition": condition})
            model = forecaster(config).eval()
            save_checkpoint(tmp_path / f"{head}-{condition}.safetensors", model, header_of(config))
            with torch.inference_mode():
                expected[f"{head}-{condition}"] = torch.cat([part.flatten() for part in model(*INPUTS).values()])
    save_file(dict(zip(("x", "condition", "ranks"), INPUTS, strict=True)), tmp_path / "inputs")
    subprocess.run([sys.executable, "-c", FORECAST, str(tmp_path)], cwd=ROOT, check=True)
    for name, output in expected.items():
        assert torch.equal(load_file(tmp_path / f"{name}.output")["output"], output), name


def test_the_header_says_what_was_saved(path, config):
    header = read_header(path)
    assert header["format"] == "kairos.forecaster" and header["version"] == VERSION
    assert header["features"] == FEATURES and header["symbols"] == ["600519.SH"]
    assert header["table"] == {"center": [0, 0, 0], "scale": [1, 1, 1]} and header["label_scale"] == [0.02, 0.03]
    assert header["parameters"] == sum(p.numel() for p in forecaster(config).parameters())
    assert header["libraries"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert header["created"].endswith("+00:00")


def test_a_header_is_read_without_torch(path):
    script = "import sys; from financial_model.training.checkpoint import read_header; read_header(sys.argv[1]); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script, str(path)], cwd=ROOT, check=True)


def test_a_loaded_model_is_ready_to_forecast(path):
    model, header = load_checkpoint(path)
    assert not model.training
    assert weights_hash(model.state_dict()) == header["weights_hash"]


def test_metrics_are_added_without_touching_the_weights(path):
    before = load_file(path)
    update_metrics(path, {"ic": 0.05, "baselines": {"zero": {"ic": float("nan")}}})
    update_metrics(path, {"rank_ic": np.float64(0.04)})
    model, header = load_checkpoint(path)
    assert header["metrics"] == {"ic": 0.05, "baselines": {"zero": {"ic": None}}, "rank_ic": 0.04}
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_any_entry_can_be_replaced(path):
    update_header(path, {"extras": {"class_means": [[0.1]]}})
    assert read_header(path)["extras"] == {"class_means": [[0.1]]}


def test_tensors_stay_aligned_after_an_update(path):
    update_metrics(path, {"a": 1})
    (length,) = struct.unpack("<Q", path.read_bytes()[:8])
    assert length % 8 == 0


def test_a_kill_while_saving_leaves_the_old_file(path, config, monkeypatch):
    import financial_model.paths as paths

    before = path.read_bytes()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(paths.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, forecaster(config), header_of(config))
    assert path.read_bytes() == before and [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_full_disk_is_said_and_leaves_the_old_file(path, config, monkeypatch):
    import errno

    import financial_model.paths as paths

    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(paths.os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        save_checkpoint(path, forecaster(config), header_of(config))
    assert path.read_bytes() == before


# ---------------------------------------------------------------- what is refused, and how
def refused(path, key, action=load_checkpoint):
    with pytest.raises(CheckpointError) as caught:
        action(path)
    assert caught.value.key == key
    for language in ("en", "zh"):
        sentence = caught.value.message(language)
        assert path.name in sentence and "\n" not in sentence
    return str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(NotFoundError, match="nothing.safetensors"):
        read_header(tmp_path / "nothing.safetensors")


def test_a_folder(tmp_path):
    refused(tmp_path, "checkpoint.unreadable", read_header)


def test_a_pickle_in_disguise(tmp_path):
    path = tmp_path / "model.safetensors"
    torch.save({"a": torch.zeros(3)}, path)
    assert zipfile.is_zipfile(path)
    refused(path, "checkpoint.pickle", read_header)
    torch.save({"a": torch.zeros(3)}, path, _use_new_zipfile_serialization=False)
    refused(path, "checkpoint.pickle", read_header)


def test_a_header_whose_length_looks_like_a_pickle_is_read(tmp_path):
    """1,152 is 80 04 in the file's first bytes, as pickle's protocol 4."""
    for length in (0x0280, 0x0480, 0x10480):
        entries = {"__metadata__": {"format": "other"}, "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
        text = json.dumps(entries).encode()
        path = tmp_path / f"{length}.safetensors"
        path.write_bytes(struct.pack("<Q", length) + text + b" " * (length - len(text)) + bytes(4))
        assert path.read_bytes()[:1] == b"\x80"
        with pytest.raises(CheckpointError) as caught:
            read_header(path)
        assert caught.value.key != "checkpoint.pickle", "it is foreign, not a pickle"


def test_a_pickle_is_never_executed(tmp_path):
    path, witness = tmp_path / "model.safetensors", tmp_path / "witness"
    path.write_bytes(b"\x80\x04cbuiltins\nopen\n(V" + str(witness).encode() + b"\nVw\ntR.")
    refused(path, "checkpoint.pickle")
    assert not witness.exists()


@pytest.mark.parametrize("content", [b"", b"\x01\x02", struct.pack("<Q", 5)])
def test_a_file_of_a_few_bytes(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        read_header(path)


def test_another_kind_of_file(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"date,open,high,low,close\n2020-01-01,1,2,1,2\n")
    refused(path, "checkpoint.not_safetensors", read_header)


def test_a_header_bomb_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "x.safetensors"
    with open(path, "wb") as stream:
        stream.write(struct.pack("<Q", HEADER_LIMIT + 1) + b"{")
        stream.truncate(HEADER_LIMIT + 100)  # sparse: the bytes are there and cost nothing
    refused(path, "checkpoint.header_too_large", read_header)


def test_a_header_that_claims_more_than_the_file(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", 10_000) + b"{" + b" " * 100)
    refused(path, "checkpoint.truncated", read_header)


def test_deep_json_does_not_end_the_process(tmp_path):
    path, text = tmp_path / "x.safetensors", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    refused(path, "checkpoint.corrupt", read_header)


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_truncated_file(path, kept):
    data = path.read_bytes()
    path.write_bytes(data[:int(len(data) * kept)])
    refused(path, "checkpoint.truncated")


def test_bytes_after_the_end(path):
    path.write_bytes(path.read_bytes() + b"more")
    refused(path, "checkpoint.corrupt")


@pytest.mark.parametrize("place", [0.1, 0.5, -1])
def test_any_broken_byte_of_the_weights(path, place):
    data = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    start = 8 + length
    data[-1 if place == -1 else start + int(place * (len(data) - start))] ^= 1
    path.write_bytes(bytes(data))
    refused(path, "checkpoint.altered")


def test_a_safetensors_file_of_someone_else(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    refused(path, "checkpoint.foreign")
    save_file({"weight": torch.zeros(2)}, path, {"format": "pt"})
    refused(path, "checkpoint.foreign")
    save_file({"weight": torch.zeros(2)}, path, {METADATA_KEY: encode({"format": "other", "version": 1})})
    refused(path, "checkpoint.foreign")


@pytest.mark.parametrize("text", ["not json", "[]", "{}", '{"format": "kairos.forecaster"}'])
def test_a_description_that_cannot_be_read(tmp_path, text):
    path = tmp_path / "x.safetensors"
    save_file({"weight": torch.zeros(2)}, path, {METADATA_KEY: text})
    refused(path, "checkpoint.corrupt")


def test_a_newer_version(path):
    rewrite_header(path, lambda header: header.update(version=VERSION + 1))
    assert "newer" in refused(path, "checkpoint.newer")


def test_a_description_with_holes(path):
    rewrite_header(path, lambda header: (header.pop("table"), header.pop("features")))
    assert "features, table" in refused(path, "checkpoint.incomplete")


@pytest.mark.parametrize("change", [
    {"config": {"nonsense": 1}}, {"config": 5}, {"inputs": 4}, {"inputs": "many"},
    {"context_length": 0}, {"head": "crystal_ball"}, {"features": 3},
])
def test_a_description_that_cannot_be_built(path, change):
    rewrite_header(path, lambda header: header.update(change))
    refused(path, "checkpoint.bad_description")


def test_a_backbone_that_nobody_here_knows_is_asked_for_by_its_name(path):
    rewrite_header(path, lambda header: header["config"]["model"].update(backbone="oracle"))
    with pytest.raises(ConfigError, match="“oracle” comes from an extension"):
        load_checkpoint(path)


def test_weights_of_another_shape(path, config):
    rewrite_header(path, lambda header: header["config"]["model"].update(hidden=16))
    sentence = refused(path, "checkpoint.other_shape")
    assert "[24, 3]" in sentence and "[48, 3]" in sentence


def test_weights_of_another_model(path):
    rewrite_header(path, lambda header: header["config"]["model"].update(layers=2))
    assert "missing" in refused(path, "checkpoint.other_tensors")
