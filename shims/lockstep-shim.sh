#!/bin/sh
# lockstep-shim: hands one event from privacyIDEA's script handler to Lockstep. Written by `lockstep shims install`.
#
# Installed as lockstep-register, lockstep-lock, lockstep-unlock and lockstep-unregister: the name says what happened.
# It writes its kind and its arguments, each ended by NUL, into SPOOL/tmp, renames the file into SPOOL/new (as in
# maildir) and syncs it. It needs no running daemon. Exit 0: the event is on disk. Exit 75 (EX_TEMPFAIL), with one line
# on stderr: it is not. A file system that keeps the order of its metadata (ext4, XFS, Btrfs) makes the new name durable
# with the file's own fsync; the folder cannot be opened for one, since privacyIDEA's user may not read it.
#
# The event's time is the file's mtime, which the rename keeps. Times that are equal (the kernel's clock for files is
# as coarse as 4 ms) are ordered by name, and so by process id: NAME is PID-ARGUMENTS-UUID, the first two as digits.
# The number of arguments lets the reader tell a file that a crash of the machine cut short.
#
# LOCKSTEP_SPOOL in the environment names another spool.
spool='/var/spool/lockstep'
spool=${LOCKSTEP_SPOOL:-$spool}
PATH=/usr/bin:/bin${PATH:+:$PATH}
name=${0##*/}
kind=${name#lockstep-}

fail() {
  printf '%s: the event is not on record: %s\n' "$name" "$1" >&2
  exit 75
}

case $kind in
register | lock | unlock | unregister) ;;
*) fail 'the script must be named lockstep-register, lockstep-lock, lockstep-unlock or lockstep-unregister' ;;
esac

# Past its limit of file sizes (ulimit -f) or of processor time a process is killed, without a word: the write is to fail instead.
# A trap of an unknown name ends a shell, unless it stands behind `command`.
for signal in XFSZ XCPU; do
  command trap '' "$signal" 2>/dev/null || :
done

umask 022
set -C # O_EXCL: never write through a link or into a file that is there
{ read -r id </proc/sys/kernel/random/uuid; } 2>/dev/null || id=$(date +%s-%N)
pid=0000000$$
pid=${pid#"${pid%???????}"}
temporary=$spool/tmp/$pid-$#-$id
spooled=$spool/new/$pid-$#-$id

{ printf '%s\0' "$kind" "$@" >"$temporary"; } 2>/dev/null || {
  full="cannot write into $spool/tmp: is the disk full?"
  [ ! -e "$temporary" ] || {
    rm -f "$temporary" 2>/dev/null
    limit=$(ulimit -f 2>/dev/null) || limit=unlimited
    [ "$limit" = unlimited ] || fail "cannot write into $spool/tmp: the file size limit of this process (ulimit -f) is $limit"
    fail "$full"
  }
  # Once more, for what the system says about it.
  why=$(LC_ALL=C; export LC_ALL; (: >"$temporary") 2>&1)
  rm -f "$temporary" 2>/dev/null
  case $why in
  *[Rr]'ead-only'*) fail "$spool/tmp is on a read-only file system: mount it for writing" ;;
  *[Nn]'o space'* | *[Qq]uota*) fail "$full" ;;
  *[Dd]'enied'*) fail "no permission to write into $spool/tmp" ;;
  esac
  [ -d "$spool/tmp" ] || fail "there is no folder $spool/tmp"
  fail "cannot create a file in $spool/tmp"
}
mv -f "$temporary" "$spooled" 2>/dev/null || {
  rm -f "$temporary" 2>/dev/null
  fail "cannot move the event into $spool/new"
}
# The daemon may have taken the file by now: it is durable in its store then.
sync "$spooled" 2>/dev/null || [ ! -e "$spooled" ] || fail "cannot sync a file in $spool/new"
