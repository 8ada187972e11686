#!/usr/bin/env bash
# Images of PostgreSQL and Redis out of the programs that this machine has, and what stands for
# RabbitMQ and Elasticsearch: images.sh BINARY
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../../platforms/with_libraries.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
skeleton() {
  mkdir -p "$1/etc" "$1/tmp" "$1/data" "$1/run/postgresql" "$1/var" "$1/bin"
  chmod 755 "$1"
  chmod 1777 "$1/tmp"
  ln -s /run "$1/var/run"
  printf 'root:x:0:0::/:/bin/sh\npostgres:x:999:999::/data:/bin/sh\n' >"$1/etc/passwd"
  printf 'root:x:0:\npostgres:x:999:\n' >"$1/etc/group"
  local program
  for program in sh cat chmod chown mkdir sleep; do with_libraries "$1" "/bin/$program"; done
  with_libraries "$1" /usr/bin/setpriv
}

redis=$work/redis
mkdir "$redis"
skeleton "$redis"
with_libraries "$redis" /usr/bin/redis-server /usr/bin/redis-cli
tar -C "$redis" -c . | docker import --change 'ENV PATH=/usr/bin:/bin' \
  --change 'CMD ["redis-server","--bind","0.0.0.0","--protected-mode","no","--save",""]' - redis:7

postgres=$work/postgres
mkdir "$postgres"
skeleton "$postgres"
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
version=$(basename "$(dirname "$bin")")
lib=$(dirname "$bin")/lib
mapfile -t libraries < <(ls "$lib"/*.so | grep -vE 'llvmjit|plperl|plpython|pltcl')
with_libraries "$postgres" "$bin"/{postgres,initdb,pg_isready,psql,pg_ctl,pg_dump,pg_restore} "${libraries[@]}"
mkdir -p "$postgres/usr/share/postgresql"
cp -a "/usr/share/postgresql/$version" "$postgres/usr/share/postgresql/"
cp -a /usr/share/zoneinfo "$postgres/usr/share/"
cp "$here/postgres.sh" "$postgres/start.sh"
tar -C "$postgres" -c . | docker import \
  --change "ENV PATH=$bin:/usr/bin:/bin" --change 'ENV PGDATA=/var/lib/postgresql/data/of' \
  --change 'ENV LANG=C' --change 'ENTRYPOINT ["/bin/sh","/start.sh"]' - postgres:15

"$here/../../../platforms/stand-in.sh" "$1"
# No Erlang and no Java here: stand-ins with the program that their health check calls.
stands_for() {
  "$here/../../../platforms/stand-in.sh" "$1" "$2" "${@:3}"
}
stands_for "$1" elasticsearch:8.11.4 'ENV PORT=9200'
stands_for "$1" openpolicy/stand-in:2 'ENV VERSION=2'
# A health check that asks RabbitMQ's own program.
container=$(docker create openpolicy/stand-in:1)
docker cp -L /bin/true "$container:/usr/bin/rabbitmq-diagnostics"
docker commit --change 'ENV PORT=5672' "$container" rabbitmq:3
docker rm "$container"
