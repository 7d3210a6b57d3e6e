/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handover's ownership protocol: who runs the guest when processes die, sleep past deadlines,
 * refuse, or wake up late. docs/live-update.md says what is checked and how; verify.sh does it.
 *
 * A fault is: a process is killed, the target refuses, the source's deadline passes although the
 * target lives (it sleeps). FAULTS of them may happen, anywhere. Death closes a process's socket
 * and its lock one after the other, in either order; what it has sent stays readable.
 *
 * `progress` counts the guest's periods of running: what was saved in one period is out of date
 * in the next.
 */
#ifndef FAULTS
#define FAULTS 3
#endif

#define NONE   0
#define SOURCE 1
#define TARGET 2

mtype = { HELLO, READY, REFUSE, STATE, LOADED, COMMIT, RUNNING, ABORT };

chan to_target = [4] of { mtype };
chan to_source = [4] of { mtype };
bool source_eof, target_eof;          /* that side's socket is closed */

bool source_alive = true, target_alive = true;
byte lock = SOURCE;                   /* who holds it; the kernel's */
byte count;                           /* starts, in the lock's memfd */
bool source_runs = true, target_runs;
byte progress = 1, saved;             /* 0 = nothing saved */
byte state_count;                     /* the count that STATE carries */
byte faults;

/* What the end is judged by. */
bool state_sent, target_ran /* or was about to */, target_refused, source_gave_up, source_lost;

#define fault (faults < FAULTS)

/* Never two, never an old state. Called wherever a guest starts. */
inline start_source() {
    d_step {
        assert(lock == SOURCE);
        count++;
        assert(!target_runs);
        source_runs = true;
        progress++
    }
}

inline start_target() {
    d_step {
        assert(lock == TARGET);
        assert(!source_runs);
        assert(saved == progress);
        target_runs = true;
        progress++
    }
}

proctype Source() provided (source_alive)
{
    byte before;

    to_target ! HELLO;
    if
    :: to_source ? READY
    :: to_source ? REFUSE -> goto running_on
    :: target_eof && empty(to_source) -> goto running_on
    :: atomic { fault -> faults++ } -> goto give_up
    fi;

    /* The pause. */
    source_runs = false;
    before = count;
    d_step { saved = progress; state_count = count };
    d_step { to_target ! STATE; state_sent = true };
    if
    :: to_source ? LOADED
    :: to_source ? REFUSE -> goto back
    :: target_eof && empty(to_source) -> goto back
    :: atomic { fault -> faults++ } -> goto back
    fi;

    lock = NONE;
    to_target ! COMMIT;
    if
    :: to_source ? RUNNING -> goto done
    :: to_source ? REFUSE
    :: target_eof && empty(to_source)
    :: atomic { fault -> faults++ }
    fi;

    /* Only the lock knows. */
    do
    :: atomic { lock == NONE -> lock = SOURCE };
       if
       :: count == before -> goto back
       :: else -> source_lost = true; goto gone
       fi
    :: to_source ? RUNNING -> goto done
    :: to_source ? REFUSE
    :: lock == TARGET && count != before -> goto done   /* after the grace time */
    od;

back:
    start_source();
give_up:
    if
    :: to_target ! ABORT
    :: skip                          /* no room in the socket */
    fi;
running_on:
    source_eof = true;
    goto end;
done:
    source_gave_up = true;
gone:
    source_eof = true;
end:
    skip
}

proctype Target() provided (target_alive)
{
    if
    :: to_target ? HELLO
    :: source_eof && empty(to_target) -> goto failed
    fi;
    if
    :: to_source ! READY
    :: atomic { fault -> faults++ } -> goto refuse
    fi;
    if
    :: to_target ? STATE
    :: to_target ? ABORT -> goto failed
    :: source_eof && empty(to_target) -> goto failed
    fi;
    if
    :: to_source ! LOADED
    :: atomic { fault -> faults++ } -> goto refuse
    fi;
    if
    :: to_target ? COMMIT ->
        if
        :: atomic { lock == NONE -> lock = TARGET }
        :: lock == SOURCE -> goto refuse
        fi
    :: to_target ? ABORT -> goto failed
    :: source_eof && empty(to_target) ->
        if
        :: atomic { lock == NONE -> lock = TARGET }
        :: lock == SOURCE && count != state_count -> goto failed
        fi
    fi;
#ifndef NO_COUNT
    if
    :: count == state_count
    :: else -> lock = NONE; goto refuse
    fi;
#endif
    /* From here on it counts as started, also if it dies before the first instruction. */
    d_step { count++; target_ran = true };
    start_target();
    if
    :: to_source ! RUNNING
    :: source_eof
    fi;
    goto end;
refuse:
    target_refused = true;
    if
    :: to_source ! REFUSE
    :: source_eof
    fi;
failed:
    target_eof = true;
end:
    skip
}

/* SIGKILL. */
proctype KillSource()
{
    atomic { fault -> faults++; source_alive = false; source_runs = false };
    if
    :: source_eof = true; atomic { if :: lock == SOURCE -> lock = NONE :: else fi }
    :: atomic { if :: lock == SOURCE -> lock = NONE :: else fi }; source_eof = true
    fi
}

proctype KillTarget()
{
    atomic { fault -> faults++; target_alive = false; target_runs = false };
    if
    :: target_eof = true; atomic { if :: lock == TARGET -> lock = NONE :: else fi }
    :: atomic { if :: lock == TARGET -> lock = NONE :: else fi }; target_eof = true
    fi
}

/* When nothing can happen any more. */
proctype Judge()
{
    timeout;
    assert(!(source_runs && target_runs));
    if
    :: source_alive && target_alive ->
        assert(source_runs || target_runs);
        assert(!source_gave_up || target_runs)
    :: source_alive && !target_alive ->
        /* It runs here, unless it ran there and died with it. */
        assert(source_runs || target_ran)
    :: !source_alive && target_alive ->
        /* One fault, this death: it runs there if its state had left whole. */
        assert(FAULTS > 1 || target_runs == state_sent)
    :: else
    fi
}

init {
    atomic { run Source(); run Target(); run KillSource(); run KillTarget(); run Judge() }
}
