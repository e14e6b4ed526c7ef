#!/bin/sh
# Makes a fresh checkout runnable: npm packages, the directory server's packages, the built program.
# Does only what is missing or stale, and says what it does before each long step.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "==> $*"; }

if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  say "installing the npm packages of this checkout (npm ci; half a minute on a fresh machine)"
  npm ci --no-audit --no-fund --loglevel=error
fi

sh scripts/ensure-packages.sh

stale=
if [ ! -f dist/lockstep.js ]; then
  stale=yes
elif [ -n "$(find src shims scripts/build.sh package-lock.json -newer dist/lockstep.js -type f | head -n 1)" ]; then
  stale=yes
fi
if [ -n "$stale" ]; then
  say "building"
  sh scripts/build.sh
fi
