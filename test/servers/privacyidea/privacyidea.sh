#!/bin/sh
# Makes ready what a throw-away privacyIDEA of the tests needs; test/servers/privacyidea/privacyidea.ts starts it.
# Usage: [DB_URI=…] privacyidea.sh VERSION DIR [CACHE]
#
# CACHE keeps a virtual environment for each version (20 to 60 s and 210 to 510 MB the first time) and a template of its database,
# so that each further server takes a second. Several processes may do this at once. DIR gets pi.cfg, the database, the
# keys and scripts/. Administrators: admin/secret, lockstep/lockstep-secret, blind/blind-secret.
# With DB_URI, as SQLAlchemy has it, the tables and administrators are made in that database, which must be empty; else in SQLite.
# Prints the folder of the programs. Tried with 3.11.4, 3.12.3, 3.13.4 and 3.14 on Python 3.11.
set -eu
version=$1
dir=$2
cache=${3:-${LOCKSTEP_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lockstep-tests}}

if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
  echo 'python3 with venv is missing; install it with: apt-get install -y --no-install-recommends python3 python3-venv' >&2
  exit 69
fi
mkdir -p "$dir/scripts" "$cache"
dir=$(cd "$dir" && pwd)
cache=$(cd "$cache" && pwd)
venv=$cache/venv-$version
# Named for what is in it: change the number with pi.cfg or the administrators.
template=$cache/template-$version-2

exec 9>"$cache/$version.lock"
flock 9

install_packages() {
  get=$(mktemp -d "$cache/get.XXXXXX")
  rm -rf "$venv"
  python3 -m venv "$venv"
  pip="$venv/bin/pip --disable-pip-version-check -q"
  $pip download --no-deps -d "$get" "privacyidea==$version"
  # The release's pinned requirements travel in its own package: within a wheel, or at the root of a source archive.
  python3 - "$get" <<'PY'
import glob, sys, tarfile, zipfile
folder = sys.argv[1]
path, = glob.glob(folder + '/*.whl') + glob.glob(folder + '/*.tar.gz')
if path.endswith('.whl'):
    archive = zipfile.ZipFile(path)
    name = next(n for n in archive.namelist() if n.endswith('lib/privacyidea/requirements.txt'))
    data = archive.read(name)
else:
    archive = tarfile.open(path)
    member = next(m for m in archive.getmembers() if m.name.count('/') == 1 and m.name.endswith('/requirements.txt'))
    data = archive.extractfile(member).read()
# The hashes go: on Python 3.11.2 (Debian 12) redis needs one more package, which the list does not have.
lines = [line.rstrip(' \\') for line in data.decode().splitlines() if not line.strip().startswith('--hash=')]
open(folder + '/requirements.txt', 'w').write('\n'.join(lines) + '\n')
PY
  $pip install -r "$get/requirements.txt"
  $pip install --no-deps "$get"/*privacy*
  $pip install gunicorn
  rm -rf "$get"
  touch "$venv/.ready"
}

write_config() {
  cat >"$1/pi.cfg" <<CFG
SUPERUSER_REALM = ['super']
SECRET_KEY = '0123456789abcdef0123456789abcdef-test'
PI_PEPPER = 'test pepper, not a secret'
SQLALCHEMY_DATABASE_URI = '${2:-sqlite:///$1/pi.db}'
SQLALCHEMY_TRACK_MODIFICATIONS = False
PI_ENCFILE = '$1/enckey'
PI_AUDIT_KEY_PRIVATE = '$1/private.pem'
PI_AUDIT_KEY_PUBLIC = '$1/public.pem'
PI_LOGFILE = '$1/pi.log'
PI_LOGLEVEL = 30
PI_SCRIPT_HANDLER_DIRECTORY = '$1/scripts'
PI_NO_RESPONSE_SIGN = True
PI_AUDIT_SQL_TRUNCATE = True
# Passwords and PINs are hashed at the least cost.
PI_HASH_ALGO_PARAMS = {'argon2__rounds': 1, 'argon2__memory_cost': 64}
# A user store that is down costs 2 s an owner in place of 20 s.
PI_LDAP_POOLING_LOOP_TIMEOUT = 1
CFG
}

make_tables() {
  "$venv/bin/pi-manage" setup create_tables
  for name in admin lockstep blind; do
    password=$name-secret
    [ "$name" != admin ] || password=secret
    "$venv/bin/pi-manage" admin add -p "$password" "$name"
  done
}

make_template() {
  rm -rf "$template.new"
  mkdir -p "$template.new"
  write_config "$template.new"
  PRIVACYIDEA_CONFIGFILE=$template.new/pi.cfg
  export PRIVACYIDEA_CONFIGFILE
  {
    "$venv/bin/pi-manage" setup create_enckey
    "$venv/bin/pi-manage" setup create_audit_keys
    make_tables
  } >"$template.new/setup.log" 2>&1 || {
    cat "$template.new/setup.log" >&2
    exit 1
  }
  rm -rf "$template"
  mv "$template.new" "$template"
}

[ -e "$venv/.ready" ] || install_packages >&2
[ -e "$template" ] || make_template
cp "$template/enckey" "$template/private.pem" "$template/public.pem" "$dir/"
write_config "$dir" "${DB_URI:-}"
if [ -z "${DB_URI:-}" ]; then
  cp "$template/pi.db" "$dir/"
else
  PRIVACYIDEA_CONFIGFILE=$dir/pi.cfg
  export PRIVACYIDEA_CONFIGFILE
  make_tables >"$dir/setup.log" 2>&1 || {
    cat "$dir/setup.log" >&2
    exit 1
  }
fi
echo "$venv/bin"
