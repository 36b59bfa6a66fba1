#!/bin/sh
# Runs once, on an empty data directory: a database and an owner for each store, so that a backup
# of the events holds no keys, and a process reaches only the stores that it needs.
set -eu

for name in events read_models vault keycloak; do
    psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
        --set name="$name" --set password="$(cat "${SECRETS:-/run/secrets}/${name}_password")" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
done
