"""What comes in through the browser: only real uploads, of known kinds, of bounded size. What goes out: only our own copies."""

from pathlib import Path

import pandas as pd
import pytest

from financial_model.errors import DataError, NotFoundError
from financial_model.ui import downloads, uploads


@pytest.fixture(autouse=True)
def gradio_folder(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "gradio"
    folder.mkdir()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    return folder


def put(folder: Path, name: str, content: bytes = b"date,close\n") -> str:
    path = folder / "hash" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return str(path)


def key_of(caught) -> str:
    return caught.value.key


# ---------------------------------------------------------------- in
def test_an_upload_is_taken(gradio_folder):
    path = put(gradio_folder, "600519.csv")
    assert uploads.received(path) == Path(path).resolve()


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside.csv", "~/.ssh/id_rsa"])
def test_no_path_a_browser_names_is_opened(gradio_folder, tmp_path, name):
    (tmp_path / "outside.csv").write_text("secret")
    given = name if name.startswith("/") else str(gradio_folder / name)
    with pytest.raises(DataError) as caught:
        uploads.received(given)
    assert key_of(caught) == "ui.upload.foreign"


def test_a_link_that_leads_out_is_refused(gradio_folder, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("x")
    (gradio_folder / "link.csv").symlink_to(secret)
    with pytest.raises(DataError) as caught:
        uploads.received(str(gradio_folder / "link.csv"))
    assert key_of(caught) == "ui.upload.foreign"


def test_unknown_kinds_and_large_files_are_refused(gradio_folder, monkeypatch):
    with pytest.raises(DataError) as caught:
        uploads.received(put(gradio_folder, "model.pkl"))
    assert key_of(caught) == "ui.upload.kind"
    monkeypatch.setattr(uploads, "LIMIT", 3)
    with pytest.raises(DataError) as caught:
        uploads.received(put(gradio_folder, "big.csv"))
    assert key_of(caught) == "ui.upload.too_large"


def test_folders_are_chosen_from_the_servers_list(workspace):
    for name in ("mine", "training_data", ".hidden"):
        (workspace.data_dir / name).mkdir(parents=True)
    assert uploads.folders(workspace) == ["mine"]
    assert uploads.folder(workspace, "mine") == workspace.data_dir / "mine"
    for name in ("training_data", "..", "/etc", "missing"):
        with pytest.raises((DataError, NotFoundError)):
            uploads.folder(workspace, name)


# ---------------------------------------------------------------- out
def test_what_is_handed_out_is_a_copy_in_gradios_folder(gradio_folder, tmp_path):
    source = tmp_path / "final.safetensors"
    source.write_bytes(b"weights")
    path = Path(downloads.prepared(source, "run.final.safetensors"))
    assert path.read_bytes() == b"weights" and path.is_relative_to(gradio_folder) and path.name == "run.final.safetensors"


def test_a_table_opens_in_excel_and_cannot_carry_a_formula(gradio_folder):
    path = Path(downloads.csv(pd.DataFrame({"name": ["=1+1", "贵州茅台"], "change": [-0.5, 1.0]}), "pool.csv"))
    content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf") and "'=1+1" in content.decode("utf-8-sig") and "-0.5" in content.decode("utf-8-sig")
