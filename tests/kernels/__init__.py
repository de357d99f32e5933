"""Kernels equal their references: through Triton's interpreter on the CPU, natively where there is a GPU (``tests/conftest.py`` decides)."""

import os

import torch

PLACE = torch.device("cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda")
"""Where Triton kernels run in this process."""
