#!/bin/sh
# Installs Ory Kratos below bench/peers/installed, from the Go module proxy. Needs Go and a C
# compiler (for SQLite). Its module replaces others, which `go install` refuses: so it is built in
# a copy of its source.
set -eu
cd "$(dirname "$0")"
version=${KRATOS_VERSION:-v1.3.1}
mkdir -p installed
source=$(cd installed && go mod download -json "github.com/ory/kratos@$version" \
    | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p')
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cp -R "$source/." "$build"
chmod -R u+w "$build"
output=$PWD/installed/kratos
cd "$build"
CGO_ENABLED=1 go build -tags sqlite,json1 \
    -ldflags "-X github.com/ory/kratos/driver/config.Version=$version" -o "$output" .
