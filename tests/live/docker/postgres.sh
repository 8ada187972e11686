# Starts PostgreSQL as the image of its makers does: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB.
set -e
user=${POSTGRES_USER:-postgres}
as_owner() { setpriv --reuid 999 --regid 999 --clear-groups "$@"; }
mkdir -p "$PGDATA" /run/postgresql
chown -R 999:999 "$PGDATA" /run/postgresql
chmod 700 "$PGDATA"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  echo "${POSTGRES_PASSWORD:-postgres}" >/tmp/password
  chown 999 /tmp/password
  as_owner initdb -D "$PGDATA" -A trust -U "$user" --pwfile /tmp/password --no-sync >/dev/null
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  as_owner pg_ctl -D "$PGDATA" -o '-c listen_addresses=' -w start >/dev/null
  [ "${POSTGRES_DB:-$user}" = postgres ] || psql -q -U "$user" -d postgres -c "CREATE DATABASE \"${POSTGRES_DB:-$user}\""
  for file in /docker-entrypoint-initdb.d/*.sql; do
    [ ! -e "$file" ] || psql -q -v ON_ERROR_STOP=1 -U "$user" -d "${POSTGRES_DB:-$user}" -f "$file"
  done
  as_owner pg_ctl -D "$PGDATA" -w stop >/dev/null
fi
exec setpriv --reuid 999 --regid 999 --clear-groups postgres -D "$PGDATA" \
  -c 'listen_addresses=*' -c fsync=off
