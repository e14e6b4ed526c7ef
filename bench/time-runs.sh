#!/bin/bash
# Usage: time-runs.sh ROUNDS COMMAND [ARGUMENT...] -- COMMAND [ARGUMENT...]
# Runs the two commands in turn, each by one fork and exec of this shell, and prints for every round the two wall times
# in microseconds. Ends with 1 when a command fails.
set -u
export LC_ALL=C
rounds=$1
shift
first=()
while [ "$1" != -- ]; do
  first+=("$1")
  shift
done
shift
second=("$@")

clock() {
  local started=${EPOCHREALTIME/./} ended
  "$@" < /dev/null > /dev/null 2>&1 || { echo "failed with code $?: $*" >&2; exit 1; }
  ended=${EPOCHREALTIME/./}
  printf '%d ' $((ended - started))
}

for ((round = 0; round < rounds; round++)); do
  clock "${first[@]}"
  clock "${second[@]}"
  echo
done
