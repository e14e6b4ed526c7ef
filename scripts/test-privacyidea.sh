#!/bin/sh
# `npm run test:privacyidea -- 3.12`: the tests of the API against the simulator and against these real versions, and those of
# set-up, doctor, rehearsal and mode `api` against the real ones (3.11, 3.12, 3.13, 3.14, or all; several may be named). A version is
# installed from the package index the first time.
set -eu
cd "$(dirname "$0")/.."
sh scripts/ensure-packages.sh
for version; do
  case $version in
    3.11 | 3.12 | 3.13 | 3.14 | all) ;;
    *)
      echo "no such version here: $version; known are 3.11, 3.12, 3.13, 3.14 and all" >&2
      exit 64
      ;;
  esac
done
LOCKSTEP_PRIVACYIDEA=${*:-all}
export LOCKSTEP_PRIVACYIDEA
exec node_modules/.bin/vitest run test/privacyidea test/e2e/events-mode/privacyidea-3 test/e2e/api- test/e2e/privacyidea/api- test/e2e/documented/quick-start
