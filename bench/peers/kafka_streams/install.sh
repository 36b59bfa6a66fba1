#!/bin/sh
# Builds the peer with Maven, once; needs a JDK of 17 or newer.
set -eu
cd "$(dirname "$0")"
test target/installed -nt pom.xml -a target/installed -nt src/main/java/LinkTable.java && exit 0
mvn --quiet --batch-mode compile dependency:copy-dependencies -DoutputDirectory=target/lib
touch target/installed
