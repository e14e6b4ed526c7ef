#!/bin/sh
# `npm run bench [-- --quick] [--only NAME] [--json] [--record RELEASE]`: Lockstep's speed, against shell scripts that do the same job.
set -eu
cd "$(dirname "$0")/.."
sh scripts/ensure-checkout.sh >&2
exec node_modules/.bin/node --disable-warning=ExperimentalWarning bench/bench.ts "$@"
