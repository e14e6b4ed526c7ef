#!/bin/bash
# Makes of a mount, network and process namespace of its own a Debian on which slapd was just installed; test/servers/debian/stock-debian.ts
# starts it. What is changed below /etc, /var, /opt, /usr/local, /root and /run is gone with the namespace, and nobody else sees it.
# Usage: stock-debian.sh DIR DOMAIN ADMIN_PASSWORD
#
# DIR is where the changes are kept in memory. The server is set up by the package's own scripts, as `apt-get install slapd` runs
# them, with DOMAIN and ADMIN_PASSWORD as the answers to their questions, and started by its init script. Prints "ready", and
# stays until its standard input ends. Tried with Debian 12.
set -euo pipefail
dir=$1
domain=$2
password=$3
mount -t tmpfs -o mode=0755 tmpfs "$dir"
for folder in etc var opt usr/local root; do
  mkdir -p "$dir/upper/$folder" "$dir/overlay/$folder"
  chmod --reference="/$folder" "$dir/upper/$folder"
  mount -t overlay -o "lowerdir=/$folder,upperdir=$dir/upper/$folder,workdir=$dir/overlay/$folder" overlay "/$folder"
done
mount -t tmpfs -o mode=0755 tmpfs /run
# The loopback interface: ip(8) may not be there.
perl -MSocket -e 'socket(S, PF_INET, SOCK_DGRAM, 0) && ioctl(S, 0x8914, $request = pack("a16 s x14", "lo", 0x41)) or die "lo: $!"'
# What others may have left on this machine.
rm -rf /etc/sysusers.d /etc/tmpfiles.d/lockstep.conf /etc/lockstep /var/lib/lockstep /var/spool/lockstep /opt/lockstep /usr/local/bin/lockstep
for name in lockstep privacyidea; do
  ! getent passwd "$name" >/dev/null || userdel "$name"
  ! getent group "$name" >/dev/null || groupdel "$name"
done
rm -rf /etc/ldap/slapd.d /etc/ldap/tls /var/lib/ldap
sed -i 's|^SLAPD_SERVICES=.*|SLAPD_SERVICES="ldap:/// ldapi:///"|' /etc/default/slapd
debconf-set-selections <<END
slapd slapd/domain string $domain
slapd shared/organization string $domain
slapd slapd/password1 password $password
slapd slapd/password2 password $password
slapd slapd/move_old_database boolean true
END
{ dpkg-reconfigure -f noninteractive slapd && service slapd start; } >"$dir/log" 2>&1 || {
  cat "$dir/log" >&2
  exit 1
}
echo "127.0.0.1 ldap.$domain" >>/etc/hosts
echo ready
read -r _ || true
