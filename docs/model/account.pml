/*
 * One account, two workers, and a directory that may carry out a write late. See README.md for what is modelled and how
 * to run it. Each guarded write of the store is an `inline` whose name is the action's; the code says `model: <action>`
 * at the same place.
 *
 * -DNO_FENCE                what the store wrote before claims had tokens
 * -DTOKEN_WITHOUT_ADOPTION  tokens, and no record of writes that may still arrive
 * -DFILES_BY_ACCOUNT        tokens and adoption, and a change that removes whatever waiting file the account has
 * -DWITHOUT_<ACTION>        one guard left out: WITHOUT_PLAN, WITHOUT_CLOSE, WITHOUT_OWN, WITHOUT_SETTLE, ...
 */
#ifndef TOGGLES
#define TOGGLES 3 /* times that the token is locked or unlocked at its source, at most */
#endif
#ifndef TAKEOVERS
#define TAKEOVERS 2 /* leases that run out under a worker that lives (stopped, or slow), at most */
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef UNANSWERED
#define UNANSWERED 2 /* writes whose answer a worker does not wait for any longer, at most */
#endif
#ifndef CHANGES
#define CHANGES 5 /* changes that are planned, at most; ids are 1 and up, in the order of time */
#endif

#ifdef NO_FENCE
#define WITHOUT_RENEW
#define WITHOUT_PLAN
#define WITHOUT_CLOSE
#define WITHOUT_OWN
#define WITHOUT_NOTE
#define WITHOUT_READ
#define TOKEN_WITHOUT_ADOPTION
#endif

#define BIT(id) (1 << (id))
#define NOBODY 2
/* The bit of the oldest; 0: none, and one less is then every bit. */
#define FIRST(mask) ((mask) & -(mask))

/* ── the source: what the store was told last of the token ── */
bool wanted = false;    /* what the source says */
bool hold = false;       /* what the store makes of it */
bool dirty = false;      /* the account is in the queue */
bool isNew[2] = false;   /* something came since the worker's claim: the generation differs */
byte toggles = 0;

/* ── the store ── */
byte live = NOBODY;      /* whose claim has the live token */
bool broken = false;     /* the last claim was not given back */
bool repair = false;     /* the waiting files are to be held against the record */
byte open = 0;           /* the change whose outcome is not on record; 0: none */
bool owned = false;      /* the lock that stands there is ours */
byte last = 0;           /* the newest change */
byte locks = 0;          /* bit of a change: it is a lock, else an unlock */
byte late = 0;           /* bit of a change: written off, and may still arrive */

/* ── the folder: the one waiting file. 2 * id: written by that change; 2 * id + 1: of no change, written after it; 0: none ── */
byte file = 0;
byte inHistory = 0;      /* bit of a change: its forward file is in history */

/* ── the network and the directory ── */
bool locked = false;     /* our value stands in the lock attribute */
byte pending = 0;        /* bit of a change: it may be carried out from now on */
byte sent = 0;           /* bit of a change: it is on its way */
byte waits[2] = 0;       /* the change whose answer the worker waits for */
mtype = { none, ok, raced }
mtype answer[2] = none;

bool isStarted = false;  /* the first claim is the first worker's: they are alike */
byte takeovers = 0;
byte unanswered = 0;
byte crashes = 0;
bool isKilled[2] = false;
bool isCut = false;       /* more changes than this model counts: such a run proves nothing */

/* ── the guarded writes. `lost` is lease-lost: nothing was written ── */
#define HELD(guard) (live == me || guard)
#ifdef WITHOUT_RENEW
#define RENEW_ALWAYS true
#else
#define RENEW_ALWAYS false
#endif
#ifdef WITHOUT_PLAN
#define PLAN_ALWAYS true
#else
#define PLAN_ALWAYS false
#endif
#ifdef WITHOUT_CLOSE
#define CLOSE_ALWAYS true
#else
#define CLOSE_ALWAYS false
#endif
#ifdef WITHOUT_OWN
#define OWN_ALWAYS true
#else
#define OWN_ALWAYS false
#endif
#ifdef WITHOUT_READ
#define READ_ALWAYS true
#else
#define READ_ALWAYS false
#endif
#ifdef WITHOUT_NOTE
#define NOTE_ALWAYS true
#else
#define NOTE_ALWAYS false
#endif
#ifdef WITHOUT_SETTLE
#define SETTLE_ALWAYS true
#else
#define SETTLE_ALWAYS false
#endif

/* A free account; one whose worker died; or one whose lease ran out under a worker that may still go on. */
inline claim() {
  lRepair = repair || broken || live != NOBODY;
  live = me; broken = true; repair = false;
  isNew[me] = false;
  lHold = wanted; lOwned = owned; lOpen = open; lFailed = false
}

inline renew() { isLost = !HELD(RENEW_ALWAYS) }

/* The row of the change; the account's open change from then on. */
inline plan() {
  if
  :: HELD(PLAN_ALWAYS) -> open = my; pending = pending | BIT(my)
  :: else -> isLost = true
  fi
}

/* One modify by compare and swap; from here on nobody can call it back. */
inline apply() {
  sent = sent | BIT(my); waits[me] = my; answer[me] = none
}

/* The outcome of a change and what is ours, in one transaction. `unseen`: nobody reported the outcome. */
inline close(id, owns, unseen) {
  if
  :: HELD(CLOSE_ALWAYS) ->
     open = (open == id || CLOSE_ALWAYS -> 0 : open);
     owned = owns; lOwned = owns;
     late = (unseen -> late | BIT(id) : late)
  :: else -> isLost = true
  fi
}

/* What is ours changed without a write to the directory. `id`: the late write that was found to have arrived; 0: none. */
inline own(owns, id) {
  if
  :: HELD(OWN_ALWAYS) -> owned = owns; lOwned = owns; late = late & ~BIT(id)
  :: else -> isLost = true
  fi
}

/* What the source said of the token when it was asked. */
inline read() {
  if
  :: HELD(READ_ALWAYS) -> hold = lHold
  :: else -> isLost = true
  fi
}

/* An unlock by somebody else ends the hold. Nobody else works in this model: it must never come to that. */
inline note() {
  if
  :: HELD(NOTE_ALWAYS) -> assert(false)
  :: else -> isLost = true
  fi
}

/* The mark goes, unless something came meanwhile, the turn failed, or a write may still arrive; the claim is given back. */
inline settle() {
  if
  :: HELD(SETTLE_ALWAYS) ->
     late = late & ~lOver;
     if
     :: !isNew[me] && !lFailed && late == 0 -> dirty = false
     :: else
     fi;
     free()
  :: else -> isLost = true
  fi
}
inline free() { live = NOBODY; broken = false }

/* ── the waiting file. Nothing here looks at the token: a folder cannot ── */
inline putFile(id) { if :: file < 2 * id -> file = 2 * id :: else fi }
inline ensureFile() { if :: file == 0 -> file = 2 * last + 1 :: else fi }

/* A change that did not happen takes back what it wrote. */
inline abandonFile(id) {
  if
#ifdef FILES_BY_ACCOUNT
  :: file != 0 -> assert(file == 2 * id); file = 0
#else
  :: file == 2 * id -> file = 0
#endif
  :: else
  fi
}

/* A release takes the file with it that it found, not one that is newer. */
inline settleFile(id) {
  if
#ifdef FILES_BY_ACCOUNT
  :: file != 0 -> assert(file <= 2 * id); file = 0
#else
  :: file != 0 && file <= 2 * id -> file = 0
#endif
  :: else
  fi
}

inline oldest(mask) {
  id = 0;
  if
  :: (mask) & BIT(1) -> id = 1
  :: else -> if
    :: (mask) & BIT(2) -> id = 2
    :: else -> if
      :: (mask) & BIT(3) -> id = 3
      :: else -> if
        :: (mask) & BIT(4) -> id = 4
        :: else -> if
          :: (mask) & BIT(5) -> id = 5
          :: else -> if
            :: (mask) & BIT(6) -> id = 6
            :: else
          fi
        fi
      fi
    fi
  fi
fi
}

active [2] proctype Worker() {
  byte me = _pid;
  bool lHold, lOwned, lRepair, lFailed, isLost, seen, wasApplied;
  byte lOpen, my, id, lOver, until;

again:
  {
  do
  :: d_step {
       dirty && (me == 0 || isStarted) && (live == NOBODY || (live != me && takeovers < TAKEOVERS)) ->
       takeovers = (live == NOBODY -> takeovers : takeovers + 1);
       claim(); isStarted = true; isLost = false
     };

     d_step { read() };

     /* observe, and recover a change whose outcome is not on record */
     if
     :: !isLost && lOpen != 0 ->
        d_step { seen = locked; wasApplied = (inHistory & BIT(lOpen)) != 0; id = lOpen };
        if
        :: (locks & BIT(id)) && (seen || wasApplied) ->
           d_step { putFile(id); inHistory = inHistory | BIT(id) };
           d_step { close(id, true, (late & locks) != 0) }
        :: (locks & BIT(id)) && !(seen || wasApplied) ->
           d_step { close(id, lOwned, true) };
           if :: !isLost && !lOwned -> d_step { abandonFile(id) } :: else fi
        :: !(locks & BIT(id)) && (!seen || wasApplied) ->
           d_step { settleFile(id); inHistory = inHistory | BIT(id) };
           d_step { close(id, false, (late & ~locks) != 0) }
        :: !(locks & BIT(id)) && seen && !wasApplied ->
           d_step { close(id, lOwned, true) }
        fi;
        d_step { lOpen = 0; id = 0; wasApplied = false }
     :: else
     fi;
     if
     :: !isLost && lRepair -> d_step {
          if
          :: lOwned -> ensureFile()
          :: !lOwned && file != 0 && file <= 2 * last + 1 -> file = 0
          :: else
          fi
        }
     :: else
     fi;

     /* plan the next change, until there is none */
     do
     :: isLost -> break
     :: else ->
        d_step { renew() };
        if
        :: isLost -> break
        :: else
        fi;
        d_step {
          seen = locked; lOver = late & (FIRST(pending) - 1); id = 0;
#ifndef TOKEN_WITHOUT_ADOPTION
          if
          :: seen && !lOwned -> oldest(late & locks)
          :: !seen && lOwned -> oldest(late & ~locks)
          :: else
          fi
#endif
        };
        if
        :: id != 0 && !lOwned -> /* a lock of ours has arrived */
           d_step { until = 2 * last + 1; own(true, id) };
           if :: !isLost -> d_step { if :: file < until -> file = until :: else fi } :: else fi;
           d_step { id = 0; until = 0 }
        :: id != 0 && lOwned -> /* an unlock of ours has arrived */
           d_step { until = 2 * last + 1; own(false, id) };
           if :: !isLost -> d_step { if :: file <= until -> file = 0 :: else fi } :: else fi;
           d_step { id = 0; until = 0 }
        :: id == 0 && seen != lOwned && lOwned && lHold -> /* taken for an unlock by somebody else */
           d_step { note() }
        :: id == 0 && seen != lOwned && lOwned && !lHold -> /* forget */
           d_step { until = 2 * last + 1; own(false, 0) };
           if :: !isLost -> d_step { if :: file <= until -> file = 0 :: else fi } :: else fi;
           d_step { until = 0 }
        :: id == 0 && seen != lOwned && !lOwned && lHold -> break /* taken for somebody else's lock */
        :: id == 0 && seen != lOwned && !lOwned && !lHold -> break
        :: id == 0 && seen == lOwned && lOwned == lHold -> break /* in step */
        :: id == 0 && seen == lOwned && lOwned != lHold ->
           if
           :: d_step { last < CHANGES -> last++; my = last; locks = (lHold -> locks | BIT(my) : locks) }
           :: last >= CHANGES -> isCut = true; false
           fi;
           /* row and files, durable, before the directory is touched */
           if
           :: lHold && true -> d_step { putFile(my) }; d_step { plan() }
           :: lHold && true -> d_step { plan() }; d_step { putFile(my) }
           :: !lHold -> d_step { plan() }
           fi;
           if
#ifdef REFUSED_ROW_TAKES_FILE
           :: isLost && lHold -> d_step { abandonFile(my) }; break
           :: isLost && !lHold -> break
#else
           :: isLost -> break /* the file stays: it may have taken the place of the other worker's */
#endif
           :: else
           fi;
           d_step { apply() };
           if
           :: answer[me] == ok ->
              d_step { waits[me] = 0; answer[me] = none };
              if
              :: lHold -> d_step { inHistory = inHistory | BIT(my) }
              :: else -> d_step { settleFile(my); inHistory = inHistory | BIT(my) }
              fi;
              d_step { close(my, lHold, false) }
           :: answer[me] == raced ->
              d_step { waits[me] = 0; answer[me] = none };
              d_step { close(my, lOwned, false) };
              if :: !isLost && lHold -> d_step { abandonFile(my) } :: else fi
           :: d_step { unanswered < UNANSWERED -> unanswered++; answer[me] = none; waits[me] = 0; lFailed = true } -> break
           fi;
           d_step { my = 0 }
        fi
     od;
     atomic {
       if
       :: !isLost -> settle()
       :: else
       fi;
       if
       :: isLost -> repair = true; dirty = true; isNew[1 - me] = true
       :: else
       fi;
       my = 0; id = 0; lOver = 0; seen = false;
       lHold = false; lOwned = false; lRepair = false; lFailed = false; isLost = false
     }
  od
  } unless { isKilled[me] };

  /* SIGKILL: what was not sent never is; a process that is proven dead loses its lease, and not what it left undone */
  d_step {
    isKilled[me] = false; waits[me] = 0; answer[me] = none;
    if :: my != 0 && !(sent & BIT(my)) -> pending = pending & ~BIT(my) :: else fi;
    if :: live == me -> live = NOBODY :: else fi;
    my = 0; id = 0; lOpen = 0; lOver = 0; until = 0; wasApplied = false;
    lHold = false; lOwned = false; lRepair = false; lFailed = false; isLost = false; seen = false
  };
  goto again
}

/* What was sent is carried out at any later time, once, and in any order; or it is lost. */
active proctype Directory() {
  byte each, who;
end:
  do
  :: atomic {
       sent != 0 ->
       if
       :: sent & BIT(1) -> each = 1
       :: sent & BIT(2) -> each = 2
       :: sent & BIT(3) -> each = 3
       :: sent & BIT(4) -> each = 4
       :: sent & BIT(5) -> each = 5
       :: sent & BIT(6) -> each = 6
       fi;
       who = (waits[0] == each -> 0 : (waits[1] == each -> 1 : NOBODY));
       sent = sent & ~BIT(each); pending = pending & ~BIT(each);
       if
#ifdef LOSSES
       :: true -> skip
#endif
       :: (locks & BIT(each)) && !locked -> locked = true; if :: who != NOBODY -> answer[who] = ok :: else fi
       :: !(locks & BIT(each)) && locked -> locked = false; if :: who != NOBODY -> answer[who] = ok :: else fi
       :: ((locks & BIT(each)) != 0) == locked -> if :: who != NOBODY -> answer[who] = raced :: else fi
       fi;
       each = 0; who = 0
     }
  od
}

/* The token is locked and unlocked at its source, as often as it likes. */
active proctype Source() {
  do
  :: d_step { toggles < TOGGLES -> toggles++; wanted = !wanted; dirty = true; isNew[0] = true; isNew[1] = true }
  :: d_step { toggles < TOGGLES -> toggles = TOGGLES }
  :: toggles >= TOGGLES -> break
  od
}

active proctype Killer() {
end:
  do
  :: d_step { crashes < CRASHES -> crashes++; isKilled[0] = true }
  :: d_step { crashes < CRASHES -> crashes++; isKilled[1] = true }
  :: d_step { crashes < CRASHES -> crashes = CRASHES }
  od
}

/* Nothing moves any more: nobody works, nothing is on its way, and nothing is due. */
active proctype Quiescence() {
  timeout ->
  !isCut;
  assert(!dirty && live == NOBODY && open == 0 && sent == 0);
  assert(hold == wanted);
  assert(locked == hold);            /* nobody is locked without a hold, and nobody is open with one */
  assert(owned == locked);
  assert(!locked || file != 0)       /* a lock of ours has its waiting file */
}
