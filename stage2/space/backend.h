/*
 * backend.h - what stands behind the areas of a guest: backends over a struct s2_table.
 *
 * The page table that a set hands through is the struct s2_table. All backends share its begin and
 * end, so that one operation over areas of several kinds is one operation on the table.
 */
#ifndef TRESTLE_STAGE2_SPACE_BACKEND_H
#define TRESTLE_STAGE2_SPACE_BACKEND_H

#include "core/backend.h"
#include "core/c.h"
#include "stage2/table/table.h"

TRESTLE_BEGIN

/*
 * Linear areas: each IPA has its PA at a fixed distance. The cookie is PA - IPA modulo 2^64, so a
 * part of an area needs no other one.
 *
 * Caches (arm-arm D7.5): memory that is about to be shown is cleaned to PoC when it is held, and
 * memory that was taken back is cleaned and invalidated after the flush, each unless stage 2 forces
 * write-back (HCR_EL2.FWB with S2_NORMAL) or the area is a device. What cannot be reached, as
 * there are no memory ops, is the embedder's to clean.
 */
extern const struct mapping_backend_ops s2_linear_ops;

/* The backend of an area that starts at @start and maps to @pa on. */
struct mapping_backend s2_linear_backend(ipa_t start, pa_t pa);

/* Where @addr, in an area of @backend, a linear one, lies. */
pa_t s2_linear_pa(const struct mapping_backend *backend, ipa_t addr);

TRESTLE_END

#endif
