#!/bin/sh
# Everything sambench wants to know of a GPU, in one command and at most 25 minutes (benchmarks/gpu.py says what).
#
#   benchmarks/gpu.sh OUT                 # writes OUT/gpu.json and OUT/gpu.md
#   benchmarks/gpu.sh OUT --dry-run       # the same code on the CPU, in some minutes
#   benchmarks/gpu.sh --wheels            # prints how to get the packages that such a machine may lack
#
# Nothing is installed. SAMBENCH_WHEELS names a folder of wheels to take along; SAMBENCH_DATA a folder with
# coco-mini, without which images are drawn; PYTHON the interpreter (python3).
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
python=${PYTHON:-python3}

if [ "${1:-}" = --wheels ]; then
    echo "$python -m pip download --no-deps --only-binary=:all: --python-version 3.12 \\"
    echo "    --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64 -d WHEELS msgspec pycocotools hotcoco"
    exit
fi

# The checkout is not installed there: a link makes its folders the namespace `sambench`.
mkdir -p "$root/build/typing"
[ -e "$root/build/typing/sambench" ] || ln -s ../.. "$root/build/typing/sambench"
PYTHONPATH=$root/build/typing:$root${PYTHONPATH:+:$PYTHONPATH}
if [ -n "${SAMBENCH_WHEELS:-}" ]; then
    unpacked=$(mktemp -d)
    trap 'rm -rf "$unpacked"' EXIT
    for wheel in "$SAMBENCH_WHEELS"/*.whl; do
        "$python" -m zipfile -e "$wheel" "$unpacked"
    done
    PYTHONPATH=$PYTHONPATH:$unpacked
fi
export PYTHONPATH
[ -z "${SAMBENCH_DATA:-}" ] || SAMBENCH_DATA=$(CDPATH='' cd -- "$SAMBENCH_DATA" && pwd)
"$python" -m benchmarks.gpu "$@"
