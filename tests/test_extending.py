"""docs/extending.md is true: its very text is saved to a file, named, and used from the download to the checkpoint."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from financial_model import extensions
from financial_model.errors import ConfigError, DataError
from tests.serving.builders import bars, trading_days

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
SMALL = ["--context-length", "10", "--windows-per-epoch", "300", "--horizon", "3"]
START = "python -m financial_model "
LINES = [line.removeprefix(START).split() for line in PAGE.splitlines() if line.startswith(START)]
READER = """
import contextlib, io, json, sys
import numpy as np
from financial_model.__main__ import main
said = []
for words in json.loads(sys.argv[1]):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main([*words, "--json"])
    assert code == 0, (words, out.getvalue())
    said.append(json.loads(out.getvalue()))
from financial_model.features.labels import Future, compute_label
close = np.log(np.array([10.0, 11, 9, 12, 13]))
said.append(compute_label("worst_close", Future(log_close=close, log_open=close, ends=np.array([0, 1]), horizon=2)).tolist())
print(json.dumps(said))
"""
"""The commands one after the other in one process that knows the file by the variable alone, and then the label by its name."""

ASKED = """
import json
from pathlib import Path
from fastapi.testclient import TestClient
from financial_model.paths import Workspace
import financial_model.serving.api.failures
from financial_model import extensions
from financial_model.serving import api
from financial_model.serving.abilities import Abilities
from financial_model.serving.jobs import JobService

extensions.load()
jobs = JobService(Workspace())
jobs._tasks = {name: lambda context, **_: {} for name in jobs._tasks}
asked = TestClient(api.build(Abilities(Workspace(), jobs)))
codes = [asked.post("/jobs", json=body).status_code for body in (
    {"kind": "train", "settings": {"name": "rest", "backbone": "window_mean", "target": "worst_close", "groups": ["trend"]}},
    {"kind": "download", "source": "my_folder"})]
runs = [run["config"]["model"] for run in asked.get("/runs").json()["runs"] if run["name"] in ("mine", "worst")]
print(json.dumps([codes, runs, "" if extensions.files() else asked.post("/rank", json={"run": "mine"}).json()["error"]]))
jobs.close()
"""
"""REST, imported before the file is read: two jobs that need it, the list of runs, and, without it, a ranking by a run that was trained with it."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with the page's own file and a few bars."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "my_extension.py").write_text(re.search(r"```python\n(.*?)```", PAGE, re.S)[1], "utf-8")
    (folder / "bars").mkdir()
    for seed, symbol in enumerate(("AAPL", "MSFT")):
        bars(seed, trading_days(300)).to_csv(folder / "bars" / f"{symbol}.csv", index=False)
    return folder


def command(*words):
    """The line of the page that begins like this."""
    return next(line for line in LINES if line[: len(words)] == list(words))


@pytest.fixture(scope="module")
def said(project):
    """What a reader who follows the page is told, by command."""
    steps = {
        "download": command("download"),
        "train": [*command("train", "--model"), *SMALL],
        "models": ["models"],
        "label": [*command("train", "--label"), *SMALL],
        "evaluate": command("evaluate"),
        "rank": command("rank"),
    }
    environment = {**os.environ, "KAIROS_EXTENSIONS": "my_extension.py", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-c", READER, json.dumps(list(steps.values()))]
    done = subprocess.run(line, cwd=project, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return dict(zip([*steps, "computed"], json.loads(done.stdout), strict=True))


def test_the_commands_of_the_page_do_what_it_says(project, said):
    """Download through the source, train the backbone on the feature, find both in the checkpoint."""
    assert sorted({line[0] for line in LINES}) == ["compare", "download", "evaluate", "rank", "train"]
    assert said["download"]["summary"]["stocks"] == 2 and said["download"]["summary"]["synthetic"] is False
    assert said["train"]["state"] == "finished"
    from financial_model.training.container import read_header

    header = read_header(Path(project / said["train"]["folder"] / "final.safetensors"))
    assert header["config"]["model"]["backbone"] == "window_mean" and "close_to_mean_7" in header["features"]
    assert next(entry for entry in said["models"]["models"] if entry["name"] == "window_mean")["parameters"]["none"] > 0


def test_the_label_of_the_page_is_trained_on_judged_and_ranked_by_in_its_own_unit(said):
    assert said["label"]["state"] == "finished"
    judged, pool = said["evaluate"], said["rank"]
    assert judged["label"] == "worst_close" and set(judged["baselines"]) == {"ridge", "lightgbm", "persistence", "train_mean"}
    assert judged["mae"] > 0 and "direction" not in judged
    assert pool["label"] == "worst_close" and [row["rank"] for row in pool["stocks"]] == [1, 2]
    assert pool["stocks"][0]["worst_close"] >= pool["stocks"][1]["worst_close"] and "expected_return" not in pool["stocks"][0]


def test_the_label_of_the_page_is_computed_by_its_name(said):
    assert said["computed"] == pytest.approx([math.log(9 / 10), math.log(9 / 11)])


def test_a_file_that_is_missing_or_broken_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv(extensions.VARIABLE, str(tmp_path / "nowhere.py"))
    with pytest.raises(ConfigError, match="nowhere"):
        extensions.load()
    (tmp_path / "broken_one.py").write_text("1 / 0\n")
    monkeypatch.setenv(extensions.VARIABLE, str(tmp_path / "broken_one.py"))
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        extensions.load()
    assert "kairos_extension_broken_one" not in sys.modules


WRONG = {
    "taken": ("from financial_model.models.registry import Backbone, backbone\n@backbone('gru')\nclass A(Backbone): pass\n", "“gru” is taken"),
    "no_source": ("from financial_model.market.sources.base import source\n@source('mine')\nclass A: pass\n", "lacks capabilities, bar_seconds"),
    "known_source": ("from financial_model.market.sources.base import source\n@source('tdx')\nclass A: pass\n", "“tdx” is taken"),
    "no_group": ("from financial_model.features.registry import feature\n@feature('a', 'mine', help_en='a', help_zh='a')\ndef a(bars): pass\n",
                 "not a feature group"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_registered_is_one_sentence(name, tmp_path, monkeypatch):
    (tmp_path / f"wrong_{name}.py").write_text(WRONG[name][0])
    monkeypatch.setenv(extensions.VARIABLE, str(tmp_path))
    with pytest.raises(ConfigError, match=WRONG[name][1]) as caught:
        extensions.load()
    assert f"wrong_{name}.py" in str(caught.value)


def test_two_files_of_one_name_are_not_mistaken_for_each_other(tmp_path, monkeypatch):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same_name.py").touch()
    monkeypatch.setenv(extensions.VARIABLE, os.pathsep.join(str(tmp_path / folder) for folder in ("one", "two")))
    with pytest.raises(ConfigError, match="one name"):
        extensions.load()
    del sys.modules["kairos_extension_same_name"]


def test_what_a_users_function_does_wrong_is_told_by_its_name(own_choices):
    from financial_model.features.labels import _LABELS, Future, compute_label, label

    label("slips", help_en="slips", help_zh="出错")(lambda future: future.retruns())
    try:
        with pytest.raises(DataError, match="“slips”.*retruns"):
            compute_label("slips", Future(log_close=np.zeros(3), log_open=np.zeros(3), ends=np.array([0]), horizon=2))
    finally:
        del _LABELS["slips"]


@pytest.mark.parametrize(("forward", "said"), [(lambda self, x: x.mean(1), "here .2, 4., and returned .2, 3."), (lambda self, x: self.typo, "typo")])
def test_a_backbone_of_ones_own_is_tried_when_it_is_built(forward, said, monkeypatch, own_choices):
    from financial_model import config
    from financial_model.models import registry

    def init(self, inputs, context_length, shape, config):
        registry.Backbone.__init__(self, inputs, context_length, shape, config)
        self.output_size = 4

    monkeypatch.setattr(registry, "BACKBONES", dict(registry.BACKBONES))
    registry.backbone("tried")(type("Tried", (registry.Backbone,), {"__init__": init, "forward": forward}))
    with pytest.raises(ConfigError, match=said):
        registry.build_backbone("tried", 3, 5, config.build({"backbone": "tried"}).model)


def test_programs_may_ask_for_what_a_file_brought_and_its_runs_stay_in_the_list(project, said):
    """As the page is started, which reads the files after its own modules; and once more without the file."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for variable, answers in (("my_extension.py", [[202, 202]]), ("", [[422, 422]])):
        line = [sys.executable, "-c", ASKED]
        done = subprocess.run(line, cwd=project, env={**environment, "KAIROS_EXTENSIONS": variable}, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        codes, models, refusal = json.loads(done.stdout.splitlines()[-1])
        assert [codes] == answers and models == ["window_mean", "window_mean"]
        assert refusal == ("" if variable else "extensions.not_read")


def test_a_folder_stands_for_its_files_and_each_is_read_once(tmp_path, monkeypatch):
    (tmp_path / "counts_itself.py").write_text("reads = globals().get('reads', 0) + 1\n")
    monkeypatch.setenv(extensions.VARIABLE, str(tmp_path))
    assert extensions.load() == extensions.load() == ["kairos_extension_counts_itself"]
    assert sys.modules.pop("kairos_extension_counts_itself").reads == 1
