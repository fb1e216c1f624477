/*
 * topics.h - the chapters of the story, each a file of its own: topic_<name>.c.
 *
 * Most get a guest that has been booted and has plan.h's areas, and leave it in that state. Each
 * says what it finds by check(). To add one: a file, a line here, a line in main.c.
 */
#ifndef TRESTLE_HYP_STORY_TOPICS_H
#define TRESTLE_HYP_STORY_TOPICS_H

#include "hyp/vm/format.h"
#include "hyp/vm/guest.h"

/* The guest uses what EL1 has: MMU, caches, unaligned accesses, atomics, code of its own, WFI,
 * ASIDs. */
void topic_el1(struct guest *guest);

/* All its RAM, written and read back by the guest and by EL2, through leaves of every size. */
void topic_ram(struct guest *guest);

/* What stage 2 refuses: each refusal arrives with the right IPA, access and level. */
void topic_refused(struct guest *guest);

/* Unmap, remap to other frames, split, fold: the guest sees the new state at once. */
void topic_remap(struct guest *guest);

/* Permissions and memory types change: the guest sees the new state at once. */
void topic_protect(struct guest *guest);

/* @guest and another at the same addresses: each sees its own frames. */
void topic_two_guests(struct guest *guest, struct guest *other);

/* AT S12E1R/W agree with s2_table_lookup() for @guest as it stands. */
void topic_translation(struct guest *guest);

/* And for spaces of @format that have every memory type, permission and leaf size, at every input
 * size of the CPU, with either kind of root. */
void topic_translation_sizes(const struct format *format);

/* A guest of its own on @format, from boot to end, and topic_translation_sizes(); or, where the CPU
 * has no such format, the library's refusal. */
void topic_granule(const struct format *format);

/* Those that follow bring guests of their own (hyp/story/small.h). */

/* More guests than VMIDs, and two vCPUs of one guest. */
void topic_vmids(void);

/* Several changes to two guests, and one closing sequence for each. */
void topic_batch(void);

/* A guest runs between the steps of long changes. */
void topic_steps(void);

/* The plans by which TLBs are invalidated, side by side: two guests see no difference. */
void topic_invalidation(void);

/* Leaves change their size under a guest, where nothing may be invalid for a moment too. */
void topic_sizes(void);

/* A notifier hears of what is invalidated, in time. */
void topic_notifier(void);

/* A guest's next access anywhere comes to EL2, once for each entry of the root. */
void topic_trap(void);

/* A guest whose memory comes as it is touched, with a device of EL2's. */
void topic_memory(void);

/* A TLB conflict that comes to EL2. */
void topic_conflict(void);

#endif
