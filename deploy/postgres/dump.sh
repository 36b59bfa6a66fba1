#!/bin/sh
# dump.sh DIR: the databases of the event store and of the vault as files of pg_dump, each of one
# moment, while all goes on. The vault's comes last and into a directory of its own: a key that no
# event needs does no harm, an event whose key is missing can't be opened. EVENTS and VAULT are the
# databases' URLs; passwords come as for every program of PostgreSQL.
set -eu
umask 077

stamp=$(date -u +%Y%m%dT%H%M%SZ)
dump() { # dump URL FILE: there whole, or not at all
    mkdir -p "$(dirname "$2")"
    pg_dump --format=custom --no-owner --no-privileges --file="$2.draft" --dbname="$1"
    pg_restore --list "$2.draft" > /dev/null
    sync "$2.draft"
    mv "$2.draft" "$2"
    echo "$2"
}

dump "$EVENTS" "$1/ledger/events-$stamp.dump"
dump "$VAULT" "$1/vault/vault-$stamp.dump"
