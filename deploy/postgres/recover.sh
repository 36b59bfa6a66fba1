#!/bin/sh
# recover.sh BASE ARCHIVE DATA [TIME]: makes the data directory DATA, which must not be there, of a
# copy that base-backup.sh made; started on it, the server replays its archive up to TIME
# (2026-01-31T09:20:00Z), or to its end, and then takes connections.
set -eu
umask 077

if [ -e "$3" ]; then
    echo "recover.sh: $3 is there already: move it away first" >&2
    exit 1
fi
pg_verifybackup --quiet "$1"
cp -R "$1" "$3"
{
    echo "restore_command = 'cp $2/%f %p'"
    [ -z "${4:-}" ] || echo "recovery_target_time = '$4'"
    echo "recovery_target_action = 'promote'"
} >> "$3/postgresql.auto.conf"
touch "$3/recovery.signal"
