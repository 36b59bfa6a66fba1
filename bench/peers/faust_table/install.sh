#!/bin/sh
# Installs Faust with RocksDB below bench/peers/installed, from PyPI, once.
set -eu
cd "$(dirname "$0")/.."
version=${FAUST_VERSION:-0.15.3}
test -e "installed/faust_table/$version" && exit 0
python3 -m venv --clear installed/faust_table
installed/faust_table/bin/python -m pip install --quiet \
    "faust-streaming[rocksdict]==$version" opentracing orjson
touch "installed/faust_table/$version"
