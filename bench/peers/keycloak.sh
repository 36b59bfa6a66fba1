#!/bin/sh
# Installs Keycloak below bench/peers/installed, from Maven Central, built for production on
# PostgreSQL. Needs Maven and Java 17 or newer.
set -eu
cd "$(dirname "$0")"
version=${KEYCLOAK_VERSION:-26.7.0}
mkdir -p installed
mvn --quiet --batch-mode dependency:unpack \
    -Dartifact="org.keycloak:keycloak-quarkus-dist:$version:zip" \
    -DoutputDirectory="$PWD/installed"
rm -rf installed/keycloak
mv "installed/keycloak-$version" installed/keycloak
bash installed/keycloak/bin/kc.sh build --db=postgres
