#include "hyp/story/expect.h"
#include "hyp/story/small.h"
#include "hyp/story/topics.h"

/* RAM behind another entry of the root than all else that a small guest has. */
#define FAR ipa_range(0x300000000, 0x200000)
#define NEAR ipa_of(SMALL_BLOCK_IPA)
#define WORD UINT64_C(0x7265616c)

static bool both_read(struct guest *guest)
{
    return small_reads(guest, NEAR, WORD) && small_reads(guest, FAR.start, ~WORD);
}

/* The program's own fetch is the first access there is; what it reads near lies behind the same
 * entry. */
static void check_trapped(struct guest *guest, const char *when)
{
    check(s2_space_trap(&guest->space) == MAPPING_OK, "Rose's accesses are trapped%s", when);
    guest->let_through = 0;
    check(small_reads(guest, NEAR, WORD) && guest->let_through == 1,
          "one fault lets her program go on, and reach what lies beside it");
    check(small_reads(guest, FAR.start, ~WORD) && guest->let_through == 2,
          "one more lets her reach what lies far away");
    check(both_read(guest) && guest->let_through == 2, "then there are no others");
}

void topic_trap(void)
{
    static struct guest guest;
    struct s2_config config = small_config();
    size_t frames;

    check(small_make(&guest, "Rose", &config), "Rose boots");
    (void)guest_add_ram(&guest, FAR, S2_READ | S2_WRITE);
    check(guest_write(&guest, NEAR, WORD).outcome == GUEST_DONE &&
              guest_write(&guest, FAR.start, ~WORD).outcome == GUEST_DONE && both_read(&guest),
          "she writes here and there");
    frames = frame_pool_available(&machine.tables);
    check_trapped(&guest, "");
    vcpu_unload();
    check_trapped(&guest, " again, while she is not loaded");
    check(s2_space_trap(&guest.space) == MAPPING_OK &&
              s2_space_unmap(&guest.space, FAR) == MAPPING_OK &&
              small_is_refused(&guest, S2_ACCESS_READ, S2_FAULT_TRANSLATION, FAR.start),
          "what is unmapped meanwhile is a fault that nobody lets through");
    check(s2_space_clean(&guest.space, ipa_range(0, MAPPING_BIT(SMALL_IPA_BITS))) == MAPPING_OK,
          "what she has is cleaned out of the caches");
    s2_space_trap_end(&guest.space);
    guest.let_through = 0;
    check(small_reads(&guest, NEAR, WORD) && guest.let_through == 0 && s2_space_check(&guest.space),
          "in the end nothing is trapped, and areas and tables agree");
    check(frame_pool_available(&machine.tables) >= frames, "the copy of the root is back");
    guest_fini(&guest);
}
