"""What the status bar says of a GPU, asked of a library that answers as NVIDIA's does."""

import os

import pytest

from financial_model import gpu
from financial_model.ui import machine


class Library:
    """Two GPUs; every function fills what it is handed by reference and returns a code."""

    names = {0: b"NVIDIA H100", 1: b"NVIDIA L4"}

    def nvmlDeviceGetHandleByIndex_v2(self, index, handle):
        handle._obj.value = index.value + 1
        return 0 if index.value in self.names else 2

    def nvmlDeviceGetHandleByUUID(self, identity, handle):
        handle._obj.value = 2
        return 0 if identity == b"GPU-1" else 6

    def nvmlDeviceGetName(self, handle, name, length):
        name.value = self.names[handle.value - 1][: length.value - 1]
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle, memory):
        memory._obj.total, memory._obj.used = 80 * 10**9, 12_300_000_000 * handle.value
        return 0


@pytest.fixture
def library(monkeypatch):
    monkeypatch.setattr(gpu, "_library", Library)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(("visible", "said"), [
    (None, "NVIDIA H100 · 12.3 / 80 GB"), ("1,0", "NVIDIA L4 · 24.6 / 80 GB"), ("GPU-1", "NVIDIA L4 · 24.6 / 80 GB"),
    ("", f"CPU × {os.cpu_count()}"), ("7", f"CPU × {os.cpu_count()}")])
def test_the_first_gpu_this_process_may_use_is_named(library, monkeypatch, visible, said):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.device() == said


def test_without_a_library_it_is_the_processor_that_works(monkeypatch):
    monkeypatch.setattr(gpu, "_library", lambda: None)
    assert gpu.first() is None and machine.device() == ("GPU" if gpu.unreadable() else f"CPU × {os.cpu_count()}")
