/*
 * test_space_trap.c - a guest whose next accesses are trapped, as its host sees it.
 */
#include "stage2/space/trap.h"
#include "tests/unit/space_fixture.h"
#include "tests/unit/test.h"

#define SUITE "space_trap"

static struct guest guest;

TEST(trapped_guest_is_let_through_where_it_asks)
{
    const struct guest_area areas[] = {{GIB(1), KIB(8), RIG_DATA, RIG_RW},
                                       {GIB(2), MIB(2), RIG_DATA + MIB(2), RIG_RW}};
    size_t available;

    guest_init(&guest, guest_setup(), GUEST_NODES, MIB(4));
    monitor_keep_unlinked(guest.rig.monitor, true);
    guest_map_all(&guest, areas, COUNT(areas));
    available = frame_pool_available(&guest.rig.pool);
    MUST(s2_space_trap(&guest.space));
    ck_assert(s2_table_is_trapping(s2_space_table(&guest.space)));
    ck_assert(s2_space_check(&guest.space));
    ck_assert(s2_space_untrap(&guest.space, ipa_of(GIB(1) + 5)));
    ck_assert(!s2_space_untrap(&guest.space, ipa_of(GIB(1))));
    ck_assert(!s2_space_untrap(&guest.space, ipa_of(GIB(3))));
    guest_unmap(&guest, GIB(1) + KIB(4), KIB(4));
    s2_space_trap_end(&guest.space);
    ck_assert_uint_eq(frame_pool_available(&guest.rig.pool), available);
    guest_assert(&guest,
                 (const struct guest_area[]){{GIB(1), KIB(4), RIG_DATA, RIG_RW},
                                             {GIB(2), MIB(2), RIG_DATA + MIB(2), RIG_RW}},
                 2);
    guest_fini(&guest);
}

/* What a batch has left to be flushed is flushed by the trap: tables, and frames that the guest had. */
TEST(trap_flushes_what_a_batch_has_deferred)
{
    struct s2_batch batch = S2_BATCH_INIT;
    size_t available;
    pa_t frame;

    guest_init(&guest, guest_setup(), GUEST_NODES, MIB(4));
    monitor_keep_unlinked(guest.rig.monitor, true);
    available = frame_pool_available(&guest.rig.pool);
    MUST(frame_pool_alloc(&guest.rig.pool, 0, &frame));
    guest_map(&guest, (struct guest_area){GIB(1), KIB(4), frame.raw, RIG_RW});
    guest_map(&guest, (struct guest_area){GIB(2), KIB(4), RIG_DATA, RIG_RW});
    s2_batch_begin(&batch);
    MUST(s2_batch_unmap(&batch, &guest.space, ipa_range(GIB(1), KIB(4))));
    ck_assert_int_eq(frame_pool_free(&guest.rig.pool, frame, 0), MAPPING_BAD_STATE);
    MUST(s2_space_trap(&guest.space));
    MUST(frame_pool_free(&guest.rig.pool, frame, 0));
    s2_space_trap_end(&guest.space);
    ck_assert(s2_space_check(&guest.space));
    ck_assert_uint_eq(frame_pool_available(&guest.rig.pool), available - 2);
    s2_batch_end(&batch);
    guest_fini(&guest);
}
