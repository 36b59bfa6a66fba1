#!/bin/sh
# Runs once, on an empty data directory: a database and an owner for each store, so that a backup
# of the events holds no keys, and a process reaches only the stores that it needs. Lookup nodes
# read the vault as a role that can do nothing else.
set -eu

run() { # run DATABASE ROLE: psql on that database, its variables :name and :password the role's
    psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$1" \
        --set name="$2" --set password="$(cat "${SECRETS:-/run/secrets}/${2}_password")"
}

for name in events read_models vault keycloak; do
    run postgres "$name" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
done

run vault vault_reader <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
GRANT CONNECT ON DATABASE vault TO :"name";
ALTER DEFAULT PRIVILEGES FOR ROLE vault GRANT SELECT ON TABLES TO :"name";
SQL
