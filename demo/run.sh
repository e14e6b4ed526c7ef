#!/bin/sh
# `npm run demo [-- --keep]`: Lockstep at work against a throw-away OpenLDAP, from a fresh checkout on.
set -eu
cd "$(dirname "$0")/.."
sh scripts/ensure-checkout.sh
exec node_modules/.bin/node --disable-warning=ExperimentalWarning demo/demo.ts "$@"
