#!/bin/sh
# `npm run test:privacyidea -- 3.12`: the tests of the API against the simulator and against these real versions, and those of
# set-up, doctor, rehearsal and mode `api` against the real ones (a name of test/servers/privacyidea/privacyidea.ts, or all; several may be named). A version is
# installed from the package index the first time.
set -eu
cd "$(dirname "$0")/.."
sh scripts/ensure-packages.sh
known=$(node_modules/.bin/node --disable-warning=ExperimentalWarning --input-type=module -e '
  import { RELEASE_NAMES } from "./test/releases.ts"
  console.log(RELEASE_NAMES.join(", "))
')
for version; do
  case ", $known, all, " in
    *", $version, "*) ;;
    *)
      echo "no such version here: $version; known are $known and all" >&2
      exit 64
      ;;
  esac
done
LOCKSTEP_PRIVACYIDEA=${*:-all}
export LOCKSTEP_PRIVACYIDEA
exec node_modules/.bin/vitest run test/privacyidea test/e2e/events-mode/privacyidea test/e2e/api- test/e2e/privacyidea/api- test/e2e/documented/quick-start
