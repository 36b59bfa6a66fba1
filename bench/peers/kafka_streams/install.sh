#!/bin/sh
# Builds the peer with Maven; needs a JDK of 17 or newer.
set -eu
cd "$(dirname "$0")"
mvn --quiet --batch-mode compile dependency:copy-dependencies -DoutputDirectory=target/lib
