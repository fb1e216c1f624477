/*
 * small.h - a guest with little, on 4K pages: its program, one block, some pages, and code. Many of
 * them fit into the machine, one after the other. They do not talk.
 */
#ifndef TRESTLE_HYP_STORY_SMALL_H
#define TRESTLE_HYP_STORY_SMALL_H

#include "hyp/story/turns.h"
#include "hyp/vm/guest.h"

#define SMALL_IPA_BITS 36
#define SMALL_PAGE MAPPING_BIT(12)

/* One block: IPA and PA agree below 2 MiB. */
#define SMALL_BLOCK_IPA 0x210000000
#define SMALL_BLOCK_SIZE 0x200000

/* Pages, and never runs of them: IPA and PA disagree below 64 KiB. */
#define SMALL_PAGES_IPA 0x218001000
#define SMALL_PAGES_SIZE 0x100000

/* Executable; one contiguous run. */
#define SMALL_CODE_IPA 0x220000000
#define SMALL_CODE_SIZE 0x10000

/* Where small guests take turns. */
extern const struct turns_place small_place;

/* The usual configuration, to change what is to be another one. */
struct s2_config small_config(void);

/* Makes @guest with these areas; boots nothing. */
void small_init(struct guest *guest, const char *name, const struct s2_config *config);

/* The same, booted: whether it boots. */
bool small_make(struct guest *guest, const char *name, const struct s2_config *config);

/* Where the first byte of @range lies; panics if it is not mapped. */
pa_t small_pa(struct guest *guest, struct ipa_range range);

/* A load of, a store to @ipa is refused by stage 2, with that kind of fault and that IPA; the guest
 * passes over it. */
bool small_is_refused(struct guest *guest, enum s2_access access, enum s2_fault_kind kind,
                      ipa_t ipa);

/* Whether a load of @ipa answers @word. */
bool small_reads(struct guest *guest, ipa_t ipa, uint64_t word);

#endif
