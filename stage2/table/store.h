/*
 * store.h - stores where walkers read, and the invalidations that they ask for.
 *
 * A store says that it was done, so that it is published, and cleaned for a walker that is not
 * coherent. What it took away, or made stricter, is collected, and invalidated by the next flush.
 *
 * Private to stage2/.
 */
#ifndef TRESTLE_STAGE2_TABLE_STORE_H
#define TRESTLE_STAGE2_TABLE_STORE_H

#include "stage2/arch/arch.h"
#include "stage2/table/table.h"

/* The same of those that lie in the copy of a root (stage2/table/trap.h): the hardware's own follow,
 * but for those that are trapped. */
void s2_stored_copy(struct s2_table *table, const s2_desc_t *slot, size_t count);

/* @count descriptors from @slot on were stored. */
static inline void s2_stored(struct s2_table *table, const s2_desc_t *slot, size_t count)
{
    MAPPING_ASSERT(table->operation.depth > 0);
    s2_memory_clean_tables(&table->memory, slot, count);
    table->operation.is_stored = true;
    if (__builtin_expect(table->hardware_root != NULL, 0)) {
        s2_stored_copy(table, slot, count);
    }
}

/* Link what is filled, or make what was broken: one store-release. */
void s2_store_link(struct s2_table *table, s2_desc_t *slot, s2_desc_t desc);

/* The same over a leaf, directly (FEAT_BBM level 2), in an exchange. Returns: false: it is not
 * *expected any more, which is then what it is. */
bool s2_store_link_over(struct s2_table *table, s2_desc_t *slot, s2_desc_t *expected,
                        s2_desc_t desc);

/* Break the leaf in @slot, in an exchange: it is invalid and marked, with all that the hardware had
 * set in it up to then. Returns: what it was. The caller invalidates the range and says stored. */
s2_desc_t s2_store_break(s2_desc_t *slot);

/* The entries of @range, all of @level or of S2_TLB_LEVEL_ANY, were broken or tightened; or more is
 * allowed now, and nothing less. */
void s2_invalidate(struct s2_table *table, struct ipa_range range, int level);
void s2_invalidate_relaxed(struct s2_table *table, struct ipa_range range, int level);

/* Memory with @flags, in leaves @attr, is about to be mapped. If its accesses may be slow (XS = 1),
 * TLBIs wait for them from now on: no nXS forms (FEAT_XS). And whether it is of one type with all
 * that was ever mapped: then no leaf has to be looked at to know its type. */
static inline void s2_note_memory(struct s2_table *table, mapping_flags_t flags, s2_desc_t attr)
{
    if (!table->format.has_fwb || (flags & S2_TYPE) != S2_NORMAL) {
        atomic_store_explicit(&table->has_slow_memory, true, memory_order_relaxed);
    }
    if (!table->has_memory) {
        table->has_memory = true;
        table->memory_attr = attr;
    }
    table->has_mixed_memory |= !s2_attr_is_alike(table->memory_attr, attr);
}

/* Whether no leaf is, nor was, of another type and shareability than @attr. */
static inline bool s2_has_only(const struct s2_table *table, s2_desc_t attr)
{
    return !table->has_mixed_memory &&
           (!table->has_memory || s2_attr_is_alike(table->memory_attr, attr));
}

#endif
