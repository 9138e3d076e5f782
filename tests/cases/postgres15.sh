#!/bin/sh
# Prints the bin folder of a PostgreSQL 15; root on a Debian gets one where there is none.
set -eu

for folder in /usr/lib/postgresql/15/bin /opt/homebrew/opt/postgresql@15/bin /usr/local/opt/postgresql@15/bin /usr/pgsql-15/bin; do
  if [ -x "$folder/initdb" ]; then echo "$folder"; exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2
  # The server's own cluster is not wanted: only its programs are.
  mkdir -p /etc/postgresql-common && echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
  apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold postgresql-15 >&2
fi
if [ -x /usr/lib/postgresql/15/bin/initdb ]; then echo /usr/lib/postgresql/15/bin; exit 0; fi
echo "There is no PostgreSQL 15: install it (Debian: apt-get install postgresql-15)." >&2
exit 1
