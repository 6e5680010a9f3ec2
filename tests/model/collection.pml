/* Collection beside writers, as docs/design/protocol.md has it: does a committed snapshot ever lose a chunk?
 *
 * What is modelled. Packs are bits of a mask; each holds some of two chunks. Two packs are there at the start: pack 0 with
 * chunk 0, which the old snapshot needs, and pack 1 with chunk 1, which nothing needs. Each writer may put one pack of its own. A
 * snapshot is the chunks that it needs. Every access to the store is one step, and any process may stand still
 * for ever after any step: that is its crash, and for a safety property it needs no step of its own. A collector that crashes and
 * starts again from nothing but the store is a step (RESTARTS).
 *
 * Checked: after every step that deletes or commits, each chunk of each committed snapshot lies in a pack that is there.
 *
 * Sizes: NW writers, NC collectors, NG generations, RESTARTS of each collector. FEWER leaves out the fencer and one chunk:
 * enough to catch a mutant, not to clear the protocol. Mutants, each of which must be caught: NO_RECHECK,
 * LIST_BEFORE_PUBLISH, OWN_DECISION, BLIND_REUSE, NO_WAIT, READ_BEFORE_SESSION, DECLARED_DEAD, COUNT_DOOMED. */
#ifndef NW
#define NW 2
#endif
#ifndef NC
#define NC 1
#endif
#ifndef NG
#define NG 2
#endif
#ifndef RESTARTS
#define RESTARTS 1
#endif
#define NP (2 + NW)
#define OLD NW /* the snapshot that is there at the start */
#define BIT(i) (1 << (i))
#define HAS(mask, i) (((mask) >> (i)) & 1)

mtype = { nothing, committed, void_record, forgotten };

/* The store. */
byte present = 3;      /* packs that are there, and in the index */
byte holds[NP];        /* the chunks of each pack */
mtype snapshot[NW + 1]; /* snapshots/<session id> */
byte needs[NW + 1];    /* the chunks of each snapshot */
byte sessions;         /* sessions/<id> that are there */
byte begun[NW];        /* the generation in each session */
byte published;        /* which tombstones/<n> are there */
byte candidates[NG + 1];
byte decided;          /* which generation/<n> are there */
byte doomed[NG + 1];

/* Chunks that lie in the packs of a mask. */
inline chunks_in(mask, ret)
{
    ret = 0;
    p = 0;
    do
    :: p < NP -> ret = ret | (HAS(mask, p) -> holds[p] : 0); p++
    :: else -> break
    od;
    p = 0
}

/* Chunks that committed snapshots need. */
inline chunks_needed(ret)
{
    ret = 0;
    p = 0;
    do
    :: p <= NW -> ret = ret | (snapshot[p] == committed -> needs[p] : 0); p++
    :: else -> break
    od;
    p = 0
}

/* Packs that some decision has doomed; they may be there still. */
inline packs_doomed(ret)
{
    ret = 0;
    p = 1;
    do
    :: p <= NG -> ret = ret | (HAS(decided, p) -> doomed[p] : 0); p++
    :: else -> break
    od;
    p = 0
}

/* What a session that reads the collector's records now must take for absent. */
inline packs_refused(ret, ret_undecided)
{
    ret = 0;
    ret_undecided = 0;
    p = 1;
    do
    :: p <= NG ->
        if
        :: HAS(decided, p) -> ret = ret | doomed[p]
        :: !HAS(decided, p) && HAS(published, p) -> ret = ret | candidates[p]; ret_undecided = 1
        :: else
        fi;
        p++
    :: else -> break
    od;
    p = 0
}

inline nothing_lost()
{
    chunks_needed(a);
    chunks_in(present, b);
    assert((a & ~b) == 0);
    a = 0;
    b = 0
}

inline generation_now(ret)
{
    ret = 0;
    p = 1;
    do
    :: p <= NG -> if :: HAS(published | decided, p) -> ret = p :: else fi; p++
    :: else -> break
    od;
    p = 0
}

proctype writer(byte me)
{
    byte p, a, b, refused, undecided, usable, mine, parent, to_store;

    d_step { generation_now(a); begun[me] = a; a = 0 }
#ifdef READ_BEFORE_SESSION
    d_step { packs_refused(refused, undecided) }
    d_step { sessions = sessions | BIT(me) }
#else
    d_step { sessions = sessions | BIT(me) }
    d_step { packs_refused(refused, undecided) }
#endif
    d_step { chunks_in(present & ~refused, usable); refused = 0 } /* the index is loaded */
    /* A parent, or none; what it reaches is reused. */
    atomic {
        if
        :: parent = NW + 1
        :: snapshot[0] == committed -> parent = 0
        :: snapshot[NW - 1] == committed -> parent = NW - 1
        :: snapshot[OLD] == committed -> parent = OLD
        fi;
        if
        :: mine = 1
#ifndef FEWER
        :: mine = 2
#endif
        fi;
        to_store = mine;
#ifdef BLIND_REUSE
        if :: parent <= NW -> to_store = mine & ~needs[parent] :: else fi;
#else
        if :: parent <= NW && !undecided -> to_store = mine & ~needs[parent] :: else fi;
#endif
        to_store = to_store & ~usable;
        parent = 0; undecided = 0; usable = 0
    }
    if
    :: to_store != 0 -> d_step { holds[2 + me] = to_store; present = present | BIT(2 + me); to_store = 0 }
    :: else
    fi;
    /* The commit. */
    d_step {
        if
        :: snapshot[me] == nothing -> snapshot[me] = committed; needs[me] = mine; nothing_lost()
        :: else
        fi
    }
    sessions = sessions & ~BIT(me)
}

/* Takes anybody for dead, at any time. */
proctype fencer()
{
#ifdef FEWER
    skip
#else
    do
    :: d_step { HAS(sessions, 0) && snapshot[0] == nothing -> snapshot[0] = void_record }
    :: d_step { HAS(sessions, NW - 1) && snapshot[NW - 1] == nothing -> snapshot[NW - 1] = void_record }
    od
#endif
}

/* Retention: any snapshot goes at any time. */
proctype forgetter()
{
    do
    :: d_step { snapshot[0] == committed -> snapshot[0] = forgotten; needs[0] = 0 }
    :: d_step { snapshot[NW - 1] == committed -> snapshot[NW - 1] = forgotten; needs[NW - 1] = 0 }
    :: d_step { snapshot[OLD] == committed -> snapshot[OLD] = forgotten; needs[OLD] = 0 }
    od
}

/* The collector may be gone here, and a new one start that knows only what is in the store. */
#define CRASH if :: lives < RESTARTS -> lives++; goto again :: skip fi

proctype collector(byte me)
{
    byte p, a, b, g, w, old, listed, chosen, mine, lives;

again:
    skip;
    /* An undecided generation is resumed. */
    d_step {
        generation_now(g);
        old = 0; listed = 0; chosen = 0; mine = 0; w = 0
    }
    skip;
    if
    :: g > 0 && !HAS(decided, g) -> goto wait
    :: g > 0 && HAS(decided, g) && (present & doomed[g]) != 0 -> if :: goto carry_out :: skip fi
    :: else
    fi;
    if :: g == NG -> goto done :: else fi;
    g++;
    /* Packs first, then the catalogue. What is doomed counts as gone: somebody may be deleting it just now. */
#ifdef COUNT_DOOMED
    listed = present;
#else
    d_step { packs_doomed(a); listed = present & ~a; a = 0 }
#endif
    /* Any choice of packs without which all that is needed is still there: unused ones, and doubled or repacked ones. */
    atomic {
        chunks_needed(a);
        do
        :: w < NP ->
            chunks_in(listed & ~(chosen | BIT(w)), b);
            if
            :: HAS(listed, w) && (a & ~b) == 0 -> chosen = chosen | BIT(w)
            :: skip
            fi;
            w++
        :: else -> break
        od;
        w = 0; a = 0; b = 0; listed = 0
    }
    if
    :: chosen == 0 -> goto done
    :: else
    fi;
#ifdef LIST_BEFORE_PUBLISH
    old = sessions;
#endif
    d_step {
        if
        :: !HAS(published, g) -> published = published | BIT(g); candidates[g] = chosen
        :: else
        fi
    }
    CRASH;
wait:
#ifndef LIST_BEFORE_PUBLISH
    old = sessions;
#endif
#ifndef NO_WAIT
    do
    :: w < NW ->
        if
        :: HAS(old, w) && begun[w] < g ->
            if
            :: snapshot[w] != nothing || !HAS(sessions, w) /* ended, or can no longer commit */
#ifdef DECLARED_DEAD
            :: skip /* its counter stands still: taken for dead without a void record */
#else
            :: d_step { snapshot[w] == nothing -> snapshot[w] = void_record }
#endif
            fi
        :: else
        fi;
        w++
    :: else -> break
    od;
#endif
    w = 0; old = 0; chosen = 0;
    CRASH;
    /* Look again. */
    d_step {
#ifdef NO_RECHECK
        mine = candidates[g];
#else
        mine = candidates[g];
#ifndef COUNT_DOOMED
        packs_doomed(b);
#endif
        chunks_in(present & ~mine & ~b, a);
        b = a;
        chunks_needed(a);
        a = a & ~b; /* needed, and only in candidates */
        w = 0;
        do
        :: w < NP -> if :: HAS(mine, w) && (holds[w] & a) != 0 -> mine = mine & ~BIT(w) :: else fi; w++
        :: else -> break
        od;
        w = 0; a = 0; b = 0
#endif
    }
    d_step {
        if
        :: !HAS(decided, g) -> decided = decided | BIT(g); doomed[g] = mine
        :: else
        fi;
#ifndef OWN_DECISION
        mine = 0
#endif
    }
carry_out:
    skip;
    do
    :: w < NP ->
#ifdef OWN_DECISION
        if
        :: HAS(mine, w) -> d_step { present = present & ~BIT(w); nothing_lost() }
        :: else
        fi;
#else
        if
        :: HAS(doomed[g], w) -> d_step { present = present & ~BIT(w); nothing_lost() }
        :: else
        fi;
#endif
        w++
    :: lives < RESTARTS -> w = 0; lives++; goto again
    :: else -> break
    od;
    w = 0;
    goto again;
done:
    skip
}

init
{
    byte i;
    atomic {
        holds[0] = 1;
        holds[1] = 2;
        do
        :: i < NW -> snapshot[i] = nothing; i++
        :: else -> break
        od;
        snapshot[OLD] = committed;
        needs[OLD] = 1;
        i = 0;
        do
        :: i < NW -> run writer(i); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < NC -> run collector(i); i++
        :: else -> break
        od;
        run fencer();
        run forgetter()
    }
}
