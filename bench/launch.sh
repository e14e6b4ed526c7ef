#!/bin/bash
# Starts programs as privacyIDEA would, by one fork and exec of a small process. Reads one command a line, its words apart
# by tabs; for each prints the time just before its start (seconds since 1970, with microseconds), and its exit code.
export LC_ALL=C
while IFS=$'\t' read -ra words; do
  echo "started ${EPOCHREALTIME}"
  "${words[@]}" < /dev/null > /dev/null 2>&1
  echo "ended $?"
done
