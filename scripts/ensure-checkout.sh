#!/bin/sh
# Makes a fresh checkout runnable: npm packages, the directory server's packages, the built program.
# Does only what is missing or stale, and says what it does before each long step.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "==> $*"; }

# Ends with 0 when every package of package-lock.json is installed in its version.
installed() {
  [ -f node_modules/.package-lock.json ] && node -e '
    const packages = (file) => JSON.parse(require("fs").readFileSync(file, "utf8")).packages
    const have = packages("node_modules/.package-lock.json")
    for (const [path, wanted] of Object.entries(packages("package-lock.json"))) {
      if (path !== "" && !wanted.optional && have[path]?.version !== wanted.version) process.exit(1)
    }'
}

if ! installed; then
  say "installing the npm packages of this checkout (npm ci; half a minute on a fresh machine)"
  npm ci --no-audit --no-fund --loglevel=error
fi

sh scripts/ensure-packages.sh openldap

stale=
if [ ! -f dist/lockstep.js ]; then
  stale=yes
elif [ -n "$(find src shims templates scripts/build.sh package-lock.json -newer dist/lockstep.js -type f | head -n 1)" ]; then
  stale=yes
fi
if [ -n "$stale" ]; then
  say "building"
  sh scripts/build.sh
fi
