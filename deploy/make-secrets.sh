#!/bin/sh
# Makes the secrets that docker-compose.yml mounts, each once: what is there stays as it is.
# The directory is closed to others; its files are open so that the containers' users can read.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets

make() { # make NAME COMMAND…: the file NAME with what the command prints
    name=secrets/$1
    shift
    if [ ! -s "$name" ]; then
        "$@" > "$name.new"
        chmod 644 "$name.new"
        mv "$name.new" "$name"
    fi
}

password() { head -c 24 /dev/urandom | base64 | tr '+/' '-_'; }
key() { head -c 32 /dev/urandom | base64; }
url() { echo "postgresql://$1:$(cat "secrets/$1_password")@postgres:5432/$2"; }

for name in postgres events read_models vault vault_reader keycloak keycloak_admin; do
    make "${name}_password" password
done
for name in events read_models vault; do
    make "${name}_url" url "$name" "$name"
done
make vault_reader_url url vault_reader vault
for name in bank_client_secret merchant_client_secret user_password; do
    make "$name" password
done
make master_key key
make token_key key
make log_key key

echo "deploy/secrets holds the keys of all data: without master_key and token_key nothing that"
echo "was sealed can be opened again, without log_key the logs go on with another signature."
echo "Keep a copy, apart from the backups of the databases."
