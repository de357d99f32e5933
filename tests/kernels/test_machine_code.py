"""The Triton kernels are valid GPU code: compiled to the machine code of a Hopper GPU, which needs no GPU, only a process without the interpreter.

The interpreter runs Python; what a compiler refuses (a type that changes in a loop, a shape that is no power of two) it does not see.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")
SCRIPT = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
import triton.language as tl
from financial_model.kernels import adamw_gpu, facts_gpu, lstm_gpu, norms_gpu, windows_gpu

F, H = "*fp32", "*bf16"

def compiled(kernel, types, constants, warps):
    names = kernel.arg_names
    signature = {name: "constexpr" if name in constants else types[name] for name in names}
    source = ASTSource(fn=kernel, signature=signature, constexprs={(names.index(name),): value for name, value in constants.items()})
    assert triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps}).asm["cubin"]

for length, columns, mode, close, given, clip, out in ((60, 91, 0, -1, True, 5.0, F), (500, 12, 1, -1, False, 0.0, H), (60, 6, 2, 3, False, 5.0, F)):
    held, steps, width, warps = windows_gpu.tile(length, columns)
    types = dict(values=F, ends="*i64", table_center=F, table_scale=F, out=out, center=F, scale=F, count="i32")
    constants = dict(ROW_STRIDE=columns, eps=1e-9, clip=clip, LENGTH=length, COLUMNS=columns, CLOSE=close, MODE=mode, GIVEN_SCALE=given,
                     CLIP=clip > 0, WINDOWS=held, BLOCK_LENGTH=steps, BLOCK_COLUMNS=width)
    compiled(windows_gpu._gather_windows, types, constants, warps)
for unit, values, places in ((False, False, False), (True, False, False), (False, True, False), (False, False, True)):
    types = dict(conditions="*i8", prices="*fp64", count="i32")
    types |= {name: "*i64" for name in ("ends", "time", "date_out", "condition_out", "label_out")}
    types |= {name: F for name in ("ranks", "volatility", "roots", "unit", "values", "places", "ranks_out", "spread_out", "y_out", "z_out")}
    constants = dict(CONDITIONS=6, RANKS=4, PRICES=4, HORIZON=5, WAIT=1, PRICE=1, CLOSE=0, CLASS=4, LEAST_UP=0.02, MOST_DOWN=-0.02, UP=0, FLAT=1,
                     DOWN=2, LABELLED=True, UNIT=unit, VALUES=values, PLACES=places, WINDOWS=32, BLOCK_CONDITIONS=8, BLOCK_RANKS=4, BLOCK_HORIZON=8)
    compiled(facts_gpu._fill, types, constants, 2)
for kind, size, x in ((0, 512, H), (1, 33, F), (2, 512, H)):
    held, block, warps = norms_gpu._tile(size)
    types = dict(x=x, weight=F, bias=F, alpha=F, out=x, rows="i32", tiles="i32", grad=x, grad_x=x, grad_weight=F, grad_bias=F, grad_alpha=F)
    for kernel in (norms_gpu._forward, norms_gpu._backward):
        compiled(kernel, types, dict(eps=1e-6, SIZE=size, KIND=kind, ROWS=held, BLOCK=block), warps)
types = {name: "*i64" for name in ("gradients", "parameters", "means", "squares", "counts", "entries", "starts", "sizes")}
types |= {name: F for name in ("decays", "out", "sums", "rate", "lost", "norm", "norm_out")}
types |= {name: "fp32" for name in ("limit", "beta1", "beta2", "eps")} | {"blocks": "i32", "tensors": "i32"}
compiled(adamw_gpu._squares, types, dict(BLOCK=2048), 4)
compiled(adamw_gpu._move, types, dict(BLOCK=2048, SUMS=1024), 4)
compiled(adamw_gpu._count, types, dict(TENSORS=32), 4)
for kind, bits, paired, hidden in ((H, "*i16", True, 384), (F, "*i32", False, 48)):
    types = dict(weight=kind, grad=kind, hidden=bits, carried=F, first="i32", last="i32", batch="i32", bars="i32")
    types |= {name: "*i32" for name in ("projected", "states", "factors", "slopes")}
    constants = dict(H=hidden, KIND=tl.bfloat16 if paired else tl.float32, PRECISION="ieee", PAIRED=paired, ROWS=16, UNITS=16,
                     WIDE=512 if paired else 64)
    compiled(lstm_gpu._forward, types | dict(weight="*i32"), constants, 4)
    compiled(lstm_gpu._backward, types, constants, 8)
print("all")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Triton's assembler comes with its Linux packages")
def test_every_kernel_becomes_machine_code(tmp_path):
    found = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300, cwd=Path(__file__).resolve().parents[2],
                           env={**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)})
    assert found.stdout.strip() == "all", found.stderr[-2000:]
