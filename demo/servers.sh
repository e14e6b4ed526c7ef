#!/bin/sh
# `npm run servers -- FOLDER`: a real privacyIDEA and OpenLDAP to play with, from a fresh checkout on (docs/tutorial/quick-start.md).
set -eu
cd "$(dirname "$0")/.."
sh scripts/ensure-checkout.sh
exec node_modules/.bin/node --disable-warning=ExperimentalWarning demo/servers.ts "$@"
