#!/bin/sh
# `npm run dev [-- FOLDER]`: throw-away servers, and the daemon from the source, started anew after each change.
set -eu
cd "$(dirname "$0")/.."
sh scripts/ensure-checkout.sh
exec node_modules/.bin/node --disable-warning=ExperimentalWarning demo/dev.ts "$@"
