# sambench for a GPU or a CPU; docs/install.md has the commands. DEVICE names a stage below.
ARG PYTHON=3.12
ARG DEVICE=cuda

# The wheel, apart: sources, git and build tools stay here. Without .git the version must be told.
FROM python:${PYTHON}-slim-bookworm AS wheel
ARG VERSION
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir build==1.6.1 \
    && SETUPTOOLS_SCM_PRETEND_VERSION_FOR_SAMBENCH="${VERSION:?say --build-arg VERSION=1.2.3}" \
        python -m build --wheel --outdir /dist

# What both need: a compiler for torch.compile, and a user who owns nothing but a home and the work folder.
FROM python:${PYTHON}-slim-bookworm AS base
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 sambench \
    && install -d -o sambench /work /weights
COPY constraints.txt /etc/sambench/constraints.txt
# constraints.txt pins what pip installs below.
ENV PIP_CONSTRAINT=/etc/sambench/constraints.txt \
    SAMBENCH_WEIGHTS=/weights

# The registry's torch for Linux brings CUDA along; the driver is the host's.
FROM base AS torch-cuda
# hadolint ignore=DL3013
RUN pip install --no-cache-dir torch

# PyTorch keeps builds without CUDA at an address of its own, which its install page names.
FROM base AS torch-cpu
ARG TORCH_INDEX
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --index-url "${TORCH_INDEX:?say --build-arg TORCH_INDEX=the index of CPU builds}" torch

# hadolint ignore=DL3006
FROM torch-${DEVICE}
ARG EXTRAS=report,hf,onnx,openvino,mlflow
RUN --mount=type=bind,from=wheel,source=/dist,target=/dist \
    pip install --no-cache-dir "$(echo /dist/sambench-*.whl)[${EXTRAS}]"
USER 1000
WORKDIR /work
VOLUME ["/weights"]
ENTRYPOINT ["sambench"]
CMD ["--help"]
