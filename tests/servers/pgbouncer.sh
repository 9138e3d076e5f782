#!/bin/sh
# Prints the path of a pgbouncer; root on a Debian gets one where there is none.
set -eu

for name in pgbouncer /usr/sbin/pgbouncer /opt/homebrew/bin/pgbouncer; do
  if command -v "$name"; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2
  apt-get install -y -qq --no-install-recommends pgbouncer >&2
fi
if [ -x /usr/sbin/pgbouncer ]; then echo /usr/sbin/pgbouncer; exit 0; fi
echo "There is no pgbouncer: install it (Debian: apt-get install pgbouncer)." >&2
exit 1
