#!/bin/sh
# Makes sure that what the tests and the demo use is there: slapd with its modules, ldapmodify, 389-DS, Samba's domain controller,
# MariaDB, openssl, Python with venv, which privacyIDEA is installed with, two SMTP servers, a browser that shows mails, spin
# with a C compiler, which check the model in docs/model/, and what an installation by the README uses.
# `ensure-packages.sh openldap` leaves all but OpenLDAP out: the demo needs no more.
# As root it installs what is missing; else it says the line and exits 69. Never starts a system service.
set -u
packages=
have() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/usr/lib/openldap/$1" ]; }
have slapd && [ -e /usr/lib/ldap/ppolicy.so ] || packages="$packages slapd"
have ldapmodify && have ldapwhoami || packages="$packages ldap-utils"
have openssl || packages="$packages openssl"
python3 -c 'import venv, ensurepip' 2>/dev/null || packages="$packages python3 python3-venv"
if [ "${1:-all}" != openldap ]; then
  have ns-slapd || packages="$packages 389-ds-base"
  have certutil && have pk12util || packages="$packages libnss3-tools"
  # Active Directory: Samba's domain controller, and what samba-tool loads to make one.
  have samba && have samba-tool && have ldbadd || packages="$packages samba samba-ad-dc samba-ad-provision \
samba-dsdb-modules samba-vfs-modules winbind ldb-tools python3-samba python3-markdown python3-dnspython \
python3-cryptography python3-gpg attr acl"
  # Debian's Python, which test/servers/mail/mail-sink.py runs under.
  /usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null || packages="$packages python3-aiosmtpd"
  # A mail server that refuses as most do.
  have postfix || packages="$packages postfix"
  have mariadbd && have mariadb-install-db || packages="$packages mariadb-server"
  have chromium || packages="$packages chromium"
  have spin || packages="$packages spin"
  # The commands that make users and folders, which the README names; none of its services runs.
  have systemd-sysusers && have systemd-tmpfiles || packages="$packages systemd"
  have cc && [ -e /usr/include/stdio.h ] || packages="$packages gcc libc6-dev"
fi
have flock || packages="$packages util-linux"
[ -n "$packages" ] || exit 0

line="apt-get install -y --no-install-recommends$packages"
if ! command -v apt-get >/dev/null 2>&1; then
  echo "missing:$packages (Debian names); install what your system calls them (OpenLDAP server and client tools)" >&2
  exit 69
fi
if [ "$(id -u)" != 0 ]; then
  echo "missing:$packages; install them with: sudo $line" >&2
  exit 69
fi

# While this policy stands, a package that brings a service does not start it (exit 101: not allowed).
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=yes
fi
cleanup() { [ -z "$made" ] || rm -f "$policy"; }
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "installing:$packages" >&2
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp) || exit 69
# shellcheck disable=SC2086 -- a list of names
if ! apt-get install -y --no-install-recommends $packages >"$log" 2>&1; then
  if ! { apt-get update && apt-get install -y --no-install-recommends $packages; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    echo "could not install; try yourself: apt-get update && $line" >&2
    exit 69
  fi
fi
rm -f "$log"
