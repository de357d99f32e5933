"""The house has one direction: a layer imports only what lies to its left, and the page never drags torch in."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "financial_model"
BASE = ("config", "errors", "extensions", "gpu", "paths", "runtime", "text")
LAYERS = ("kernels", "market", "features", "datasets", "models", "objectives", "training", "evaluation", "serving", "ui", "cli")
MODULES = sorted(PACKAGE.rglob("*.py"))


def layer_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "financial_model" else None


def imports(path: Path):
    """Every module of the package that ``path`` imports, also inside functions, with its line."""
    here = ("financial_model", *path.relative_to(PACKAGE).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = ".".join(here[: len(here) - node.level]) if node.level else ""
            module = ".".join(filter(None, (prefix, node.module or "")))
            yield module, node.lineno
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names if module == "financial_model")


def rank(layer: str) -> int:
    return 0 if layer in BASE else 1 + LAYERS.index(layer)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_layer_imports_only_to_its_left(path):
    top = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if top in ("__init__", "__main__"):
        return
    for module, line in imports(path):
        layer = layer_of(module)
        if layer is None or layer == "__version__":
            continue
        assert layer in BASE or layer in LAYERS, f"{path}:{line} imports {module}: which layer is that?"
        allowed = rank(layer) <= rank(top) if top != "kernels" else layer in BASE or layer == "kernels"
        assert allowed, f"{path}:{line}: {top} imports {layer}, which lies to its right"


def test_every_folder_of_the_package_is_a_known_layer():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= {*BASE, *LAYERS, "catalogue"}


def loaded_after(code: str) -> set[str]:
    script = f"import sys; {code}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=120, check=True)
    return set(done.stdout.split())


def test_importing_the_page_leaves_torch_out():
    assert "torch" not in loaded_after("import financial_model.ui.app")


def test_importing_the_package_is_cheap():
    loaded = loaded_after("import financial_model")
    assert not loaded & {"torch", "gradio", "pandas", "numpy", "numba"}


def test_openmp_does_not_spin():
    """GOMP_SPINCOUNT must be in the environment before torch loads, however the package is entered."""
    script = "import os; os.environ.pop('GOMP_SPINCOUNT', None); import financial_model; print(os.environ['GOMP_SPINCOUNT'])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True).stdout.strip() == "1000"


def test_nothing_unpickles():
    """No pickle and no torch.load anywhere in the product: a checkpoint or cache can never run code."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name.split(".")[0] for alias in node.names} | {(getattr(node, "module", None) or "").split(".")[0]}
                assert not names & {"pickle", "dill", "joblib", "cloudpickle", "marshal", "shelve"}, f"{path}:{node.lineno}"
            if isinstance(node, ast.Attribute) and node.attr == "load" and isinstance(node.value, ast.Name):
                assert node.value.id != "torch", f"{path}:{node.lineno} torch.load"


def test_top_level_app_stays_short():
    assert len((ROOT / "app.py").read_text("utf-8").splitlines()) < 80
