/*
 * lock.h - a ticket lock: first come, first served, so no CPU waits without bound.
 *
 * Held for a bounded time. The embedder masks interrupts around calls into the library, or an
 * interrupt handler that comes back here waits for itself; and whoever else waits, on another CPU,
 * waits for as long as handlers take. Memory must be Normal and shareable (on Armv8-A: MMU and
 * caches on) for the atomics to mean anything.
 */
#ifndef TRESTLE_CORE_LOCK_H
#define TRESTLE_CORE_LOCK_H

#include "core/assert.h"
#include "core/c.h"

#include <stdbool.h>
#include <stdint.h>

TRESTLE_BEGIN

/* What a waiting CPU does between two looks; an embedder may say -D'MAPPING_CPU_RELAX()=...'. */
#ifndef MAPPING_CPU_RELAX
#define MAPPING_CPU_RELAX() ((void)0)
#endif

struct mapping_lock {
    MAPPING_ATOMIC(uint32_t) next;    /* the ticket that the next comer draws */
    MAPPING_ATOMIC(uint32_t) serving; /* the ticket that holds the lock */
};

static inline void mapping_lock_init(struct mapping_lock *lock)
{
    MAPPING_ATOMIC_INIT(&lock->next, 0);
    MAPPING_ATOMIC_INIT(&lock->serving, 0);
}

/* Returns: the ticket that was drawn, for mapping_lock_release_ticket(). */
static inline uint32_t mapping_lock_acquire_ticket(struct mapping_lock *lock)
{
    uint32_t ticket = MAPPING_ATOMIC_FETCH_ADD(&lock->next, 1, relaxed);

    while (__builtin_expect(MAPPING_ATOMIC_LOAD(&lock->serving, acquire) != ticket, 0)) {
        MAPPING_CPU_RELAX();
    }
    return ticket;
}

static inline void mapping_lock_acquire(struct mapping_lock *lock)
{
    (void)mapping_lock_acquire_ticket(lock);
}

/* Whether anybody holds it: for assertions only, as the answer may be stale when it arrives. */
static inline bool mapping_lock_is_held(struct mapping_lock *lock)
{
    return MAPPING_ATOMIC_LOAD(&lock->serving, relaxed) !=
           MAPPING_ATOMIC_LOAD(&lock->next, relaxed);
}

static inline void mapping_lock_release(struct mapping_lock *lock)
{
    uint32_t serving = MAPPING_ATOMIC_LOAD(&lock->serving, relaxed);

    MAPPING_ASSERT(serving != MAPPING_ATOMIC_LOAD(&lock->next, relaxed));
    MAPPING_ATOMIC_STORE(&lock->serving, serving + 1, release);
}

/* The same where the ticket is still at hand: one store, as the holder's is the one being served.
 * @ticket: what this holder's mapping_lock_acquire_ticket() answered. */
static inline void mapping_lock_release_ticket(struct mapping_lock *lock, uint32_t ticket)
{
    MAPPING_ATOMIC_STORE(&lock->serving, ticket + 1, release);
}

TRESTLE_END

#endif
