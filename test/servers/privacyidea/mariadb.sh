#!/bin/sh
# Makes ready the folder of a throw-away MariaDB of the default collation, as most sites have it; test/servers/privacyidea/mariadb.ts starts it.
# Usage: mariadb.sh DIR
#
# DIR gets data/, which belongs to whoever runs the server: root hands it to the user that the package made for it.
# Prints the name of that user. Tried with Debian 12's 10.11.
set -eu
dir=$1
PATH=$PATH:/usr/sbin
if ! command -v mariadbd >/dev/null 2>&1 || ! command -v mariadb-install-db >/dev/null 2>&1; then
  echo 'MariaDB is missing; install it with: apt-get install -y --no-install-recommends mariadb-server' >&2
  exit 69
fi
user=$(id -un)
if [ "$user" = root ]; then
  user=mysql
  chown mysql "$dir"
fi
mariadb-install-db --no-defaults --user="$user" --datadir="$dir/data" --auth-root-authentication-method=normal \
  --skip-test-db >"$dir/setup.log" 2>&1 || {
  cat "$dir/setup.log" >&2
  exit 1
}
echo "$user"
