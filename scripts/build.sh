#!/bin/sh
# Bundles src/ into dist/ with the checkout's own Node.js.
set -eu
cd "$(dirname "$0")/.."
exec node_modules/.bin/node scripts/bundle.ts
