#!/bin/bash
# The scripts' way of unregistering: apply the LDIF that waits under the serial, and move it to the history.
# Environment: LDAP_URL, LDAP_BIND_DN, LDAP_PASSWORD_FILE, LDIF_DIR. Arguments as privacyIDEA passes them.
set -eu
serial=none
while [ $# -gt 1 ]; do
  case $1 in
    --serial) serial=$2 ;;
  esac
  shift 2
done
change=$LDIF_DIR/unregister/$serial.ldif
[ -f "$change" ] || exit 0

mkdir -p "$LDIF_DIR/unregister/history"
ldapmodify -x -H "$LDAP_URL" -D "$LDAP_BIND_DN" -y "$LDAP_PASSWORD_FILE" -f "$change" > /dev/null
mv "$change" "$LDIF_DIR/unregister/history/$serial--$(date -u +%Y%m%dT%H%M%SZ).ldif"
