#!/bin/bash
# The scripts' way of registering: the serial is added to the owner's entry, and the LDIF that takes it out again waits
# under the serial.
# Environment: LDAP_URL, LDAP_BIND_DN, LDAP_PASSWORD_FILE, LDAP_BASE, LDIF_DIR. Arguments as privacyIDEA passes them.
set -eu
serial=none user=none
while [ $# -gt 1 ]; do
  case $1 in
    --serial) serial=$2 ;;
    --user) user=$2 ;;
  esac
  shift 2
done
[ "$serial" != none ] && [ "$user" != none ] || exit 0

mkdir -p "$LDIF_DIR"/register/history "$LDIF_DIR"/unregister
dn=$(ldapsearch -LLL -o ldif-wrap=no -x -H "$LDAP_URL" -D "$LDAP_BIND_DN" -y "$LDAP_PASSWORD_FILE" \
  -b "$LDAP_BASE" "(uid=$user)" dn | sed -n 's/^dn: //p')
[ -n "$dn" ] || { echo "no account for $user" >&2; exit 1; }

change=$LDIF_DIR/register/$serial.ldif
cat > "$change" <<LDIF
dn: $dn
changetype: modify
add: description
description: privacyIDEA:$serial
-
LDIF
cat > "$LDIF_DIR/unregister/$serial.ldif" <<LDIF
dn: $dn
changetype: modify
delete: description
description: privacyIDEA:$serial
-
LDIF
ldapmodify -x -H "$LDAP_URL" -D "$LDAP_BIND_DN" -y "$LDAP_PASSWORD_FILE" -f "$change" > /dev/null
mv "$change" "$LDIF_DIR/register/history/$serial--$(date -u +%Y%m%dT%H%M%SZ).ldif"
