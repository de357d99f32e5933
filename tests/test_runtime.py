"""What a machine can do is tried, not assumed; what is missing is said in words."""

import sys

import pytest
import torch

from financial_model import runtime
from financial_model.errors import ConfigError
from financial_model.text import translate


def test_auto_is_a_device_that_works():
    place = runtime.device()
    assert place.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert torch.ones(1, device=place).item() == 1


@pytest.mark.parametrize("name", ["banana", "cuda:99", "cuda:x"])
def test_a_device_that_is_not_there_is_refused_with_the_ones_that_are(name):
    with pytest.raises(ConfigError, match="cpu") as caught:
        runtime.device(name)
    assert caught.value.fields["device"] == name


class TestPrecision:
    @pytest.fixture(autouse=True)
    def forget(self):
        runtime.best_precision.cache_clear()
        yield
        runtime.best_precision.cache_clear()

    def trial(self, monkeypatch, *, candidates=("bf16",), **result):
        monkeypatch.setattr(runtime, "candidates", lambda place: candidates)
        monkeypatch.setattr(runtime, "try_precision", lambda place, name: result)
        return runtime.precision("auto", torch.device("cpu"))

    def test_faster_and_right_is_chosen(self, monkeypatch):
        assert self.trial(monkeypatch, works=True, speedup=1.6) == "bf16"

    @pytest.mark.parametrize("result", [{"works": True, "speedup": 1.05}, {"works": True, "speedup": 0.3}, {"works": False, "speedup": 3.0}])
    def test_hardly_faster_slower_or_wrong_is_not(self, monkeypatch, result):
        assert self.trial(monkeypatch, **result) == "fp32"

    def test_without_the_hardware_nothing_is_tried(self, monkeypatch):
        assert self.trial(monkeypatch, candidates=()) == "fp32"

    @pytest.mark.parametrize(("abilities", "expected"), [
        ({}, ()), ({"avx2": True, "avx512_f": True}, ()), ({"avx512_bf16": True}, ("bf16",)), ({"amx_bf16": True}, ("bf16",))])
    def test_a_cpu_needs_arithmetic_for_it(self, monkeypatch, abilities, expected):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities)
        assert runtime.candidates("cpu") == expected

    @pytest.mark.parametrize(("capability", "expected"), [((9, 0), ("bf16", "tf32")), ((7, 5), ("fp16",)), ((6, 1), ())])
    def test_a_gpu_is_asked_for_what_its_tensor_cores_do(self, monkeypatch, capability, expected):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda place: capability)
        assert runtime.candidates("cuda:0") == expected

    def test_tf32_is_chosen_where_it_is_the_fastest_that_agrees(self, monkeypatch):
        monkeypatch.setattr(runtime, "candidates", lambda place: ("bf16", "tf32"))
        monkeypatch.setattr(runtime, "try_precision", lambda place, name: {"works": name == "tf32", "speedup": 3.0})
        assert runtime.precision("auto", torch.device("cpu")) == "tf32"

    def test_tf32_without_its_hardware_is_refused_and_not_taken_for_fp32(self):
        with pytest.raises(ConfigError, match="tf32 does not work on cpu"):
            runtime.precision("tf32", torch.device("cpu"))

    @pytest.mark.parametrize(("precision", "products", "layers"), [("fp32", False, False), ("tf32", True, True), ("bf16", False, True)])
    def test_what_a_gpu_makes_of_float32_is_set_for_a_while(self, precision, products, layers):
        def now():
            return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

        before = now()
        with pytest.raises(ZeroDivisionError), runtime.float32_products(precision, torch.device("cuda")):
            assert now() == (products, layers)
            raise ZeroDivisionError
        assert now() == before
        with runtime.float32_products(precision, torch.device("cpu")):
            assert now() == before

    def test_fp32_is_never_questioned_and_unknown_names_are(self):
        assert runtime.precision("fp32", torch.device("cpu")) == "fp32"
        with pytest.raises(ConfigError, match="fp8"):
            runtime.precision("fp8", torch.device("cpu"))

    def test_a_precision_that_fails_here_is_refused(self, monkeypatch):
        monkeypatch.setattr(runtime, "try_precision", lambda place, name: {"works": False})
        with pytest.raises(ConfigError, match="fp16 does not work on cpu"):
            runtime.precision("fp16", torch.device("cpu"))

    def test_the_trial_really_runs_and_leaves_no_trace(self):
        torch.manual_seed(3)
        expected = torch.rand(3)
        torch.manual_seed(3)
        runtime.try_precision.cache_clear()
        trial = runtime.try_precision("cpu", "bf16")
        assert torch.equal(torch.rand(3), expected), "the random state of a run must not depend on a probe"
        assert trial["works"] is (trial["speedup"] > 0) and trial["seconds"] > 0

    def test_a_device_without_such_a_kernel_does_not_work(self, monkeypatch):
        def refuse(*_, **__):
            raise RuntimeError("no kernel")

        monkeypatch.setattr(torch, "autocast", refuse)
        runtime.try_precision.cache_clear()
        try:
            assert not runtime.try_precision("cpu", "fp16")["works"]
        finally:
            runtime.try_precision.cache_clear()


class TestFlashAttention:
    """Packages as they look on disk; none of them is imported."""

    @pytest.fixture
    def installed(self, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(str(tmp_path))

        def install(*generations):
            for generation in generations:
                if generation == "2":
                    (tmp_path / "flash_attn").mkdir(exist_ok=True)
                    (tmp_path / "flash_attn" / "__init__.py").write_text("raise ImportError('no libcuda')")
                if generation == "3":
                    (tmp_path / "flash_attn_interface.py").write_text("raise ImportError('no libcuda')")
                if generation == "4":
                    (tmp_path / "flash_attn" / "cute").mkdir(parents=True, exist_ok=True)

        yield install
        assert "flash_attn" not in sys.modules and "flash_attn_interface" not in sys.modules

    @pytest.mark.parametrize(("generations", "architecture", "expected"), [
        ("", 9, ""), ("2", 0, "2"), ("2", 8, "2"), ("4", 8, ""), ("4", 9, "4"), ("34", 9, "3"), ("24", 10, "4"), ("3", 10, ""), ("2", 7, "")])
    def test_the_best_that_runs_on_the_gpu(self, installed, generations, architecture, expected):
        installed(*generations)
        assert runtime.flash_attention(architecture) == expected


class TestDescribe:
    def test_facts_are_plain_and_complete(self, tmp_path):
        facts = runtime.describe(tmp_path)
        assert facts["torch"] == torch.__version__ and facts["device"] == str(runtime.device()) and facts["threads"] >= 1
        assert facts["memory_total"] >= facts["memory_available"] > 0 and facts["disk_free"] > 0 and facts["cores"] >= 1
        assert facts["precision"] in runtime.PRECISIONS and isinstance(facts["compile"], bool)

    def test_every_note_is_a_sentence_in_both_languages(self, monkeypatch):
        monkeypatch.setattr(runtime, "disk_free", lambda folder: 10**8)
        monkeypatch.setattr(runtime, "can_compile", lambda place: False)
        notes = runtime.describe()["notes"]
        assert {"runtime.note_disk", "runtime.note_no_compiler"} <= {note["key"] for note in notes}
        for note in notes:
            assert all(translate(note["key"], language, **note["fields"]) for language in ("en", "zh"))

    def test_a_gpu_that_torch_cannot_use_is_pointed_out(self, monkeypatch):
        monkeypatch.setattr(runtime, "_nvidia", lambda: True)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert "runtime.note_cpu_build" in [note["key"] for note in runtime.describe()["notes"]]

    def test_triton_without_a_compiler_or_pythons_headers_is_not_usable(self, monkeypatch, tmp_path):
        monkeypatch.setattr("torch.utils._triton.has_triton", lambda: True)
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.delenv("CC", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(runtime.sysconfig, "get_path", lambda *names: str(tmp_path))
        (tmp_path / "Python.h").touch()
        assert not runtime.has_triton.__wrapped__()
        (tmp_path / "gcc").touch(mode=0o755)
        assert runtime.has_triton.__wrapped__()
        (tmp_path / "Python.h").unlink()
        assert not runtime.has_triton.__wrapped__()

    def test_disk_of_a_folder_that_does_not_exist_yet(self, tmp_path):
        assert runtime.disk_free(tmp_path / "not" / "yet") == runtime.disk_free(tmp_path)

    def test_the_cheap_facts_do_not_load_torch(self):
        import subprocess

        code = "import sys; from financial_model import runtime; runtime.describe(torch_too=False); sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_the_attention_kernel_has_a_name_on_every_device(monkeypatch):
    import torch

    assert runtime.attention(torch.device("cpu")) == "torch flash" == runtime.describe()["attention"]
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda place: (9, 0))
    monkeypatch.setattr(runtime, "_flash_installed", lambda: {"2", "3"})
    assert runtime.attention(torch.device("cuda")) == "flash-attn 3"
    monkeypatch.setattr(runtime, "_flash_installed", lambda: set())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda place: (7, 5))
    assert runtime.attention(torch.device("cuda")) == "torch efficient"
