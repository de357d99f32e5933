#!/usr/bin/env bash
# Kairos in one step: environment, install, app.
#   ./start.sh [options of app.py]   open the app on http://127.0.0.1:7860 (the next free port if taken)
#   ./start.sh test [pytest options] install what the tests need and run them all
#   ./start.sh demo                  the main job without a browser, offline, in about two minutes
#   ./start.sh run COMMAND ...       any command of python -m financial_model
#   ./start.sh soak [--minutes 30]   the app under eight clients and a browser: memory, lost points, answer times
#   ./start.sh crash [--kills 20]    kill it again and again: what is left must be readable, every run must end
#   ./start.sh gpu [--quick]         every check and benchmark that needs an NVIDIA GPU, with a report
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-1000}"        # before torch loads: two threads stall each other otherwise
export GRADIO_ANALYTICS_ENABLED=False PYTHONUTF8=1
export NO_PROXY="${NO_PROXY:+$NO_PROXY,}localhost,127.0.0.1" no_proxy="${no_proxy:+$no_proxy,}localhost,127.0.0.1"

say() { printf '%s\n' "$*" >&2; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
        if "$candidate" -c 'import ensurepip, sys, venv; raise SystemExit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            printf '%s' "$candidate"
            return
        fi
    done
    say "Kairos needs Python 3.11, 3.12 or 3.13 with the venv module. Install one (Debian: apt install python3-venv), or name it: PYTHON=/path/to/python ./start.sh"
    say "Kairos 需要带 venv 模块的 Python 3.11、3.12 或 3.13。请先安装，或指定：PYTHON=/path/to/python ./start.sh"
    exit 2
}

# A machine without an NVIDIA GPU has no use for gigabytes of CUDA: there, PyTorch's own CPU index goes first,
# unless pip already offers a local wheel. A failure only means that the ordinary index decides.
install_cpu_torch() {
    local pin links
    [ "$(uname -s)" = Linux ] && [ "$(uname -m)" = x86_64 ] || return 0
    command -v nvidia-smi >/dev/null 2>&1 && return 0
    .venv/bin/python -c 'import torch' 2>/dev/null && return 0
    links="$(.venv/bin/python -m pip config get global.find-links 2>/dev/null || true)"
    [ -n "$links" ] && compgen -G "${links%% *}/torch-*" >/dev/null && return 0
    pin="$(grep -E '^torch==' requirements.txt)"
    .venv/bin/python -m pip install -q --index-url https://download.pytorch.org/whl/cpu "$pin" >/dev/null 2>&1 || true
}

create_environment() {
    local python
    python="$(find_python)"
    say "Creating .venv / 正在创建环境 ..."
    "$python" -m venv .venv
}

install() {  # $1: requirements file. A stamp of its content makes the next start fast and lets it work offline.
    local stamp file="$1" links
    [ -x .venv/bin/python ] || create_environment
    stamp="$(cat requirements.txt "$file" | cksum | tr ' ' '-')-$(.venv/bin/python -c 'import sys; print(sys.version_info[:2])' | tr -d '(), ')"
    [ "$(cat ".venv/.stamp-$(basename "$file")" 2>/dev/null)" = "$stamp" ] && return 0
    .venv/bin/python -c 'import pip' 2>/dev/null || create_environment  # a first start that was interrupted
    say "Installing $file (once; a few minutes on a slow line) / 正在安装依赖（仅首次）..."
    install_cpu_torch
    links="$(.venv/bin/python -m pip config get global.find-links 2>/dev/null | tr ' ' ',' || true)"
    if .venv/bin/python -m pip install -q uv >/dev/null 2>&1 \
        && UV_FIND_LINKS="${UV_FIND_LINKS:-$links}" .venv/bin/uv pip install -q --python .venv/bin/python -r "$file"; then
        :
    elif ! .venv/bin/python -m pip install -q -r "$file"; then
        say "The installation failed (see above). Check the network or set a pip mirror (pip config set global.index-url ...), then start again."
        say "安装失败（见上）。请检查网络，或设置 pip 镜像后重新启动。"
        exit 2
    fi
    printf '%s' "$stamp" > ".venv/.stamp-$(basename "$file")"
}

# The browser tests need a Chromium and Chinese fonts. As root on Debian they are installed; elsewhere those tests say why they skip.
install_browser() {
    command -v chromium >/dev/null 2>&1 && fc-list 2>/dev/null | grep -qi 'cjk' && return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "Installing Chromium and fonts for the browser tests ..."
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk fontconfig; } >/dev/null 2>&1 \
            || say "Chromium could not be installed; the browser tests will say that they skip."
    fi
}

case "${1:-}" in
    test)
        shift
        install requirements-dev.txt
        install_browser
        if [ $# -gt 0 ]; then exec .venv/bin/python -m pytest "$@"; fi
        .venv/bin/ruff check .
        types="$(mktemp)"
        .venv/bin/mypy > "$types" 2>&1 &  # beside the warming up of what numba compiles, and the first tests
        checker=$!
        trap 'kill "$checker" 2>/dev/null || true; rm -f "$types"' EXIT
        tests=0 typing=0
        .venv/bin/python -m tests.warm || say "What numba compiles was not warmed up (see above); the tests compile it themselves."
        .venv/bin/python -m pytest --numprocesses 2 --dist loadfile || tests=$?
        wait "$checker" || typing=$?
        trap - EXIT
        cat "$types"
        rm -f "$types"
        exit $((tests ? tests : typing))
        ;;
    demo)
        shift
        install requirements.txt
        exec .venv/bin/python -m financial_model demo "$@"
        ;;
    run)
        shift
        install requirements.txt
        exec .venv/bin/python -m financial_model "$@"
        ;;
    soak | crash | gpu)
        what="$1"
        shift
        install requirements-dev.txt
        [ "$what" = soak ] && install_browser
        exec .venv/bin/python -m "benchmarks.$what" "$@"
        ;;
    -h | --help | help)
        sed -n '2,9s/^# \{0,1\}//p' "$0"
        ;;
    *)
        install requirements.txt
        exec .venv/bin/python app.py "$@"
        ;;
esac
