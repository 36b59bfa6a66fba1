#!/bin/sh
# Installs Quix Streams below bench/peers/installed, from PyPI, once.
set -eu
cd "$(dirname "$0")/.."
version=${QUIX_STREAMS_VERSION:-3.28.1}
test -e "installed/quix_streams/$version" && exit 0
python3 -m venv --clear installed/quix_streams
installed/quix_streams/bin/python -m pip install --quiet "quixstreams==$version"
touch "installed/quix_streams/$version"
