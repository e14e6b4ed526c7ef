# The shell that a page's blocks are run in, one after the other, as somebody at a terminal would; test/servers/debian/stock-debian.ts starts it.
# Usage: bash stock-debian-shell.sh FIFO. FIFO brings blocks, each ended by a NUL character. After each a line
# "@@done" is printed, before that "@@failed STATUS COMMAND" for every command in it that failed.
set -E
at_failure() { printf '@@failed %s %s\n' "$1" "${2%%$'\n'*}"; }
trap 'at_failure "$?" "$BASH_COMMAND"' ERR
while IFS= read -r -d '' block <&3; do
  eval "$block" 3<&-
  printf '@@done\n'
done 3<"$1"
