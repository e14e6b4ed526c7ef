#!/bin/sh
# Makes ready the folder of a throw-away Samba AD DC (LDAP alone) for the tests; test/servers/ldap/samba.ts starts it.
# Usage: samba.sh DIR IP USERS [CACHE]     ends with a domain example.org in DIR that listens on IP once it is started
#
# CACHE keeps a provisioned domain for each version of Samba (about 10 s the first time), from which each further one is copied.
# Several processes may do this at once. Needs root: the ports 389 and 636 are fixed, so each server has an address of its own.
# Administrator / Adm1n-Passw0rd! ; users u1 to uN in OU=people / User-Passw0rd! ; lockstep in OU=services / Serv1ce-Passw0rd!
# Tried with Samba 4.17.12 (Debian 12).
set -eu
dir=$1
ip=$2
users=$3
cache=${4:-${LOCKSTEP_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lockstep-tests}}

if ! command -v samba-tool >/dev/null 2>&1 || [ ! -x /usr/sbin/samba ]; then
  echo "Samba's domain controller is not installed; install it with: sh scripts/ensure-packages.sh" >&2
  exit 69
fi
if [ "$(id -u)" != 0 ]; then
  echo "Samba's domain controller has fixed ports below 1024; run the tests as root" >&2
  exit 77
fi
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
version=$(/usr/sbin/samba --version | sed 's/^Version //; s/[^A-Za-z0-9._-]/_/g')
# Named for what is in it: change the number with what is provisioned.
template=$cache/samba-$version-$users-2

exec 9>"$cache/samba-$version-$users.lock"
flock 9

ldif_of_people() {
  printf 'dn: OU=services,DC=example,DC=org\nobjectClass: organizationalUnit\n\n'
  printf 'dn: OU=people,DC=example,DC=org\nobjectClass: organizationalUnit\n\n'
  person 'CN=lockstep,OU=services' lockstep "$(quoted 'Serv1ce-Passw0rd!')"
  number=1
  password=$(quoted 'User-Passw0rd!')
  while [ "$number" -le "$users" ]; do
    person "CN=u$number,OU=people" "u$number" "$password"
    number=$((number + 1))
  done
}

# unicodePwd: the password in double quotes, as UTF-16 (MS-ADTS, 3.1.1.3.1.5.1).
quoted() {
  printf '"%s"' "$1" | iconv -f UTF-8 -t UTF-16LE | base64 -w0
}

person() {
  printf 'dn: %s,DC=example,DC=org\nobjectClass: user\nsAMAccountName: %s\n' "$1" "$2"
  printf 'userPrincipalName: %s@example.org\nunicodePwd:: %s\nuserAccountControl: 512\n\n' "$2" "$3"
}

provision() {
  new=$(mktemp -d "$cache/samba.XXXXXX")
  mkdir "$new/log"
  printf '[global]\n' >"$new/empty.conf"
  samba-tool domain provision --configfile="$new/empty.conf" --targetdir="$new" --realm=EXAMPLE.ORG --domain=EXAMPLE \
    --adminpass='Adm1n-Passw0rd!' --server-role=dc --dns-backend=NONE --host-name=dc1 --host-ip=127.0.0.1 \
    >"$new/log/provision.log" 2>&1 || {
    tail -n 20 "$new/log/provision.log" >&2
    exit 1
  }
  ldif_of_people >"$new/people.ldif"
  ldbadd -H "$new/private/sam.ldb" --configfile="$new/etc/smb.conf" "$new/people.ldif" >"$new/log/people.log" 2>&1 || {
    tail -n 20 "$new/log/people.log" >&2
    exit 1
  }
  # Nobody reads accounts for the sake of Windows NT: what the service may do is then what the manual gives it.
  printf 'dn: CN=Pre-Windows 2000 Compatible Access,CN=Builtin,DC=example,DC=org\nchangetype: modify\ndelete: member\n' |
    ldbmodify -H "$new/private/sam.ldb" --configfile="$new/etc/smb.conf" >>"$new/log/people.log" 2>&1 || {
    tail -n 20 "$new/log/people.log" >&2
    exit 1
  }
  rm -rf "$new/state/sysvol"
  printf '%s' "$new" >"$new/made-in"
  mv "$new" "$template"
}

[ -d "$template" ] || provision
flock -u 9

cp -a --sparse=always "$template/." "$dir/"
mkdir -p "$dir/state/sysvol" "$dir/tls" "$dir/log"
cat >"$dir/etc/smb.conf" <<CONF
[global]
	server role = active directory domain controller
	realm = EXAMPLE.ORG
	workgroup = EXAMPLE
	netbios name = DC1
	server services = ldap
	interfaces = $ip/8
	bind interfaces only = yes
	ldap server require strong auth = $(cat "$dir/strong-auth" 2>/dev/null || echo allow_sasl_over_tls)
	tls enabled = yes
	tls keyfile = $dir/tls/server.key
	tls certfile = $dir/tls/server.pem
	tls cafile = $dir/tls/ca.pem
	private dir = $dir/private
	state directory = $dir/state
	cache directory = $dir/cache
	lock directory = $dir
	binddns dir = $dir/bind-dns
	pid directory = $dir
	ncalrpc dir = $dir/ncalrpc
	log file = $dir/log/log.%m
	max log size = 0
	kccsrv:samba_kcc = no
CONF
