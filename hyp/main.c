/*
 * main.c - the story: a machine, two guests, what they may and may not do; then small guests, for
 * what is sent to the TLBs; a guest on each granule that the CPU offers; and the end of it.
 */
#include "hyp/machine/cpu.h"
#include "hyp/story/at_habits.h"
#include "hyp/story/checks.h"
#include "hyp/story/describe.h"
#include "hyp/story/plan.h"
#include "hyp/story/topics.h"

#define OTHER_IPA_BITS 40

int hyp_main(void);

static struct guest alice;
static struct guest bob;

static void make(struct guest *guest, const char *name, unsigned ipa_bits)
{
    struct s2_config table = format_config(&formats[0], ipa_bits);

    guest_init(guest, name, &table);
    plan_map(guest);
    check(guest_boot(guest).outcome == GUEST_DONE, "%s boots", name);
}

/* How much it takes to say what a space is: areas, and frames of tables. */
struct shape {
    size_t areas;
    size_t frames;
};

static struct shape shape_of(const struct guest *guest)
{
    return (struct shape){memory_set_len(s2_space_areas(&guest->space)),
                          s2_table_frame_count(s2_space_table(&guest->space))};
}

/* Every change has been undone, so folding must lead back to where it all began. */
static void fold_all(struct guest *guest, struct shape first)
{
    struct shape last;

    check(s2_space_fold(&guest->space, ipa_range(0, BIT(PLAN_IPA_BITS))) == MAPPING_OK,
          "EL2 folds all that %s has", guest->name);
    last = shape_of(guest);
    check(last.areas == first.areas && last.frames == first.frames,
          "her areas (%lu) and tables (%lu frames) are what they were at first", last.areas,
          last.frames);
    describe_areas(&guest->space);
    describe_table(s2_space_table(&guest->space));
}

static void tell_of_alice(void)
{
    checks_topic("Alice is honest");
    topic_honest(&alice);
    checks_topic("Her RAM");
    topic_ram(&alice);
    checks_topic("What she must not do");
    topic_denied(&alice);
    checks_topic("Pages move under her feet");
    topic_remap(&alice);
    checks_topic("Permissions and memory types change");
    topic_protect(&alice);
}

static void tell_of_both(void)
{
    checks_topic("Bob has the same addresses, and another VMID");
    make(&bob, "Bob", OTHER_IPA_BITS);
    topic_two_guests(&alice, &bob);
    checks_topic("The CPU's own opinion (AT S12E1R, AT S12E1W)");
    topic_oracle(&alice);
}

/* Each with guests of its own. */
static void tell_of_tlbs(void)
{
    checks_topic("More guests than VMIDs");
    topic_vmids();
    checks_topic("Several changes, one flush");
    topic_batch();
    checks_topic("Long changes in short steps");
    topic_steps();
    checks_topic("What is sent to the TLBs");
    topic_tlb();
    checks_topic("Leaves change their size");
    topic_sizes();
    checks_topic("A listener");
    topic_notifier();
    checks_topic("A TLB conflict");
    topic_conflict();
}

static void tell_of_formats(void)
{
    checks_topic("Granules");
    describe_formats();
    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        topic_granule(&formats[i]);
    }
}

static void tell_of_the_end(size_t tables, size_t guests)
{
    checks_topic("Everything is given back");
    check(s2_space_check(&alice.space) && s2_space_check(&bob.space),
          "areas, tables and pools agree to the last");
    guest_fini(&alice);
    guest_fini(&bob);
    check(frame_pool_available(&machine.tables) == tables,
          "every frame of a table is back in its pool: %lu", tables);
    check(frame_pool_available(&machine.guests) == guests,
          "every frame of a guest is back in its pool: %lu", guests);
    check(frame_pool_check(&machine.tables) && frame_pool_check(&machine.guests),
          "both pools are in order");
}

int hyp_main(void)
{
    size_t tables, guests;
    struct shape first;

    cpu_init();
    machine_init();
    tables = frame_pool_available(&machine.tables);
    guests = frame_pool_available(&machine.guests);

    checks_topic("Trestle at EL2");
    describe_machine();
    at_habits_probe();
    checks_topic("Alice, a guest");
    make(&alice, "Alice", PLAN_IPA_BITS);
    checks_topic("Her areas");
    describe_areas(&alice.space);
    checks_topic("Her translation tables");
    describe_table(s2_space_table(&alice.space));
    first = shape_of(&alice);
    tell_of_alice();
    tell_of_both();
    tell_of_tlbs();
    tell_of_formats();
    checks_topic("Back to the beginning");
    fold_all(&alice, first);
    tell_of_the_end(tables, guests);
    return checks_finish();
}
