#!/bin/bash
# The scripts' way of locking: find the owner's entry (and, where the event names none, the serial that stands there),
# write the lock and, waiting under the serial, its unlock, apply the lock, and move it to the history.
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
if [ "$user" != none ]; then filter="(uid=$user)"; else filter="(description=privacyIDEA:$serial)"; fi

mkdir -p "$LDIF_DIR"/lock/history "$LDIF_DIR"/unlock
entry=$(ldapsearch -LLL -o ldif-wrap=no -x -H "$LDAP_URL" -D "$LDAP_BIND_DN" -y "$LDAP_PASSWORD_FILE" \
  -b "$LDAP_BASE" "$filter" description)
dn=
while read -r name value; do
  case $name in
    dn:) dn=$value ;;
    description:) [ "$serial" != none ] || serial=${value#privacyIDEA:} ;;
  esac
done <<< "$entry"
[ -n "$dn" ] || { echo "no account for $filter" >&2; exit 1; }

change=$LDIF_DIR/lock/$serial.ldif
cat > "$change" <<LDIF
dn: $dn
changetype: modify
replace: pwdAccountLockedTime
pwdAccountLockedTime: 000001010000Z
-
LDIF
cat > "$LDIF_DIR/unlock/$serial.ldif" <<LDIF
dn: $dn
changetype: modify
delete: pwdAccountLockedTime
-
LDIF
ldapmodify -x -H "$LDAP_URL" -D "$LDAP_BIND_DN" -y "$LDAP_PASSWORD_FILE" -f "$change" > /dev/null
mv "$change" "$LDIF_DIR/lock/history/$serial--$(date -u +%Y%m%dT%H%M%SZ).ldif"
