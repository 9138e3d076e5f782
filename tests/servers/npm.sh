#!/bin/sh
# Prints the path of an npm; root on a Debian gets one where there is none.
set -eu

if command -v npm; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2
  apt-get install -y -qq --no-install-recommends npm >&2
  if command -v npm; then exit 0; fi
fi
echo "There is no npm to fetch PostgreSQL servers with: install npm (Debian: apt-get install npm)." >&2
exit 1
