#!/bin/sh
# base-backup.sh DIR: a copy of the whole server, from which recover.sh goes on to any later moment
# that the archive of its write-ahead log reaches. The server archives it with
#     wal_level = replica
#     archive_mode = on
#     archive_timeout = 60s
#     archive_command = 'test ! -f ARCHIVE/%f && cp %p ARCHIVE/%f.draft && sync ARCHIVE/%f.draft && mv ARCHIVE/%f.draft ARCHIVE/%f'
# PGHOST, PGPORT and PGUSER name a role that may replicate.
set -eu
umask 077

folder=$1/base-$(date -u +%Y%m%dT%H%M%SZ)
mkdir -p "$1"
pg_basebackup --pgdata="$folder.draft" --wal-method=stream --checkpoint=fast --no-password
pg_verifybackup --quiet "$folder.draft"
mv "$folder.draft" "$folder"
echo "$folder"
