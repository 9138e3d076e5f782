#!/bin/sh
# A browser for the tests of pages, where there is none: only root on a Debian or Ubuntu (a container of CI) gets one.
# Anywhere else nothing is installed; the tests then say what to do.
set -eu

if [ -n "${CHROMIUM:-}" ]; then exit 0; fi
for name in chromium chromium-browser google-chrome google-chrome-stable chrome; do
  if command -v "$name" >/dev/null; then exit 0; fi
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then exit 0; fi

echo "installing chromium for the tests of pages"
export DEBIAN_FRONTEND=noninteractive
# Fonts are only recommended by chromium, and without any it paints boxes.
apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-liberation >/dev/null \
  || echo "chromium could not be installed: install it, or name a Chrome with CHROMIUM=/path/to/it" >&2
