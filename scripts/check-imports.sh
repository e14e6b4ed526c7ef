#!/bin/sh
# `npm run imports`: checks the import rules of .dependency-cruiser.cjs. Fails too when hardly a module was looked at:
# without a TypeScript that it can use, dependency-cruiser finds 0 modules and is content; when a folder holds more files
# than one looks through; and when folders beside each other import each other.
set -eu
cd "$(dirname "$0")/.."
PATH=$PWD/node_modules/.bin:$PATH
export PATH

report=$(mktemp)
trap 'rm -f "$report"' EXIT
status=0
depcruise --config .dependency-cruiser.cjs --output-type err-long src test bench demo scripts >"$report" 2>&1 || status=$?
cat "$report"
[ "$status" = 0 ] || exit "$status"

files=$(find src test bench demo scripts -name '*.ts' -type f | wc -l)
cruised=$(sed -n 's/.*(\([0-9][0-9]*\) modules.*/\1/p' "$report" | tail -n 1)
if [ "${cruised:-0}" -lt "$files" ]; then
  echo "dependency-cruiser looked at ${cruised:-0} modules of $files source files: nothing was proven" >&2
  echo "(it needs the package typescript, version 6: see package.json)" >&2
  exit 1
fi

crowded=$(find src test -type d | while read -r folder; do
  held=$(find "$folder" -maxdepth 1 -type f | wc -l)
  [ "$held" -le 15 ] || echo "  $folder: $held"
done)
if [ -n "$crowded" ]; then
  echo "folders of more than 15 files:" >&2
  echo "$crowded" >&2
  exit 1
fi

depcruise --config .dependency-cruiser.cjs --output-type json src test >"$report"
node scripts/folder-circles.ts <"$report"
