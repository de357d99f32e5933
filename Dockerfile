# Kairos in a container. How to use it: docs/guide.md. There was no Docker where it was written: the image was not built.
#   docker build -t kairos .      for the CPU; for an NVIDIA GPU add --build-arg TORCH_INDEX=https://pypi.org/simple
#   docker run -p 127.0.0.1:7860:7860 -v kairos:/data -e KAIROS_USER=anna -e KAIROS_PASSWORD=... kairos
FROM python:3.11-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

# The slim image lacks the OpenMP runtime, which LightGBM needs, and a compiler, with which Triton and torch.compile build for a GPU.
RUN case "$TORCH_INDEX" in */cpu) compiler= ;; *) compiler=g++ ;; esac \
    && apt-get update && apt-get install -y --no-install-recommends libgomp1 $compiler && rm -rf /var/lib/apt/lists/*

# GOMP_SPINCOUNT before torch loads: two threads stall each other otherwise.
ENV PYTHONUNBUFFERED=1 PYTHONUTF8=1 PIP_NO_CACHE_DIR=1 GRADIO_ANALYTICS_ENABLED=False GOMP_SPINCOUNT=1000

WORKDIR /app
COPY requirements.txt ./
RUN pip install --index-url "$TORCH_INDEX" "$(grep -E '^torch==' requirements.txt)" && pip install -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY financial_model ./financial_model
RUN pip install --no-deps .

RUN useradd --create-home --uid 1000 kairos && mkdir /data && chown kairos /data
USER kairos

# The market (full_stock_data) and the runs (checkpoints) lie in the working folder.
WORKDIR /data
VOLUME /data
EXPOSE 7860

# 401 is an answer of the living server, too: user and password may have been given as --auth instead.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["python", "-c", "import base64, http.client, os; login = base64.b64encode((os.environ.get('KAIROS_USER', '') + ':' + os.environ.get('KAIROS_PASSWORD', '')).encode()).decode(); door = http.client.HTTPConnection('127.0.0.1', 7860, timeout=8); door.request('GET', '/api/v1/health', headers={'Authorization': 'Basic ' + login}); raise SystemExit(door.getresponse().status not in (200, 401))"]

# Ctrl-C is how the page is closed in good order.
STOPSIGNAL SIGINT
ENTRYPOINT ["kairos"]
CMD ["serve", "--listen"]
