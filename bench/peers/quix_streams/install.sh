#!/bin/sh
# Installs the peer into an environment of its own, once.
set -eu
cd "$(dirname "$0")"
test .venv/.installed -nt requirements.txt && exit 0
"${PYTHON:-python3}" -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
touch .venv/.installed
