/*
 * main.c - the story, as a table of contents: a machine and two guests, what they may do and may
 * not; small guests, for what is sent to the TLBs; a guest on each granule that the CPU offers; the
 * end.
 */
#include "hyp/machine/cpu.h"
#include "hyp/machine/image.h"
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

    check(s2_space_fold(&guest->space, ipa_range(0, MAPPING_BIT(PLAN_IPA_BITS))) == MAPPING_OK,
          "EL2 folds all that %s has", guest->name);
    last = shape_of(guest);
    check(last.areas == first.areas && last.frames == first.frames,
          "her areas (%lu) and tables (%lu frames) are what they were at first", last.areas,
          last.frames);
    describe_areas(&guest->space);
    describe_table(s2_space_table(&guest->space));
}

static void show_alice(void)
{
    checks_topic("Alice uses her own MMU, caches, atomics and code");
    topic_el1(&alice);
    checks_topic("Guest RAM, through leaves of every size");
    topic_ram(&alice);
    checks_topic("Accesses that stage 2 refuses");
    topic_refused(&alice);
    checks_topic("Pages are unmapped, remapped, split and folded while Alice runs");
    topic_remap(&alice);
    checks_topic("Permissions and memory types change while Alice runs");
    topic_protect(&alice);
}

static void show_both(void)
{
    checks_topic("Two guests at the same addresses, under two VMIDs");
    make(&bob, "Bob", OTHER_IPA_BITS);
    topic_two_guests(&alice, &bob);
    checks_topic("The tables, as the CPU translates them (AT S12E1R, AT S12E1W)");
    topic_translation(&alice);
}

/* Each with guests of its own. */
static void show_tlbs(void)
{
    checks_topic("More guests than VMIDs");
    topic_vmids();
    checks_topic("A batch: several changes, one closing sequence for each guest");
    topic_batch();
    checks_topic("Long changes in short steps");
    topic_steps();
    checks_topic("Invalidation by address, by range, by VMID");
    topic_invalidation();
    checks_topic("Leaves change their size, with and without break-before-make");
    topic_sizes();
    checks_topic("A notifier hears of what is invalidated");
    topic_notifier();
    checks_topic("The next access anywhere is trapped");
    topic_trap();
    checks_topic("A guest's memory comes as it is touched");
    topic_memory();
    checks_topic("A TLB conflict abort");
    topic_conflict();
}

static void show_formats(void)
{
    checks_topic("Each granule that the CPU has");
    describe_formats();
    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        topic_granule(&formats[i]);
    }
}

#define AUDIT_PAGES (MAPPING_BIT(32) >> MACHINE_FRAME_SHIFT) /* that are compared: 4 GiB of RAM */

/* What one may write the other may not, and neither sees what is EL2's. */
static void audit_both(void)
{
    static uint64_t words[AUDIT_PAGES / 64];
    static struct s2_space *const spaces[] = {&alice.space, &bob.space};
    const struct s2_audit_range own = {pa_of((uint64_t)__text_start),
                                       (uint64_t)(__image_end - __text_start)};
    struct s2_audit audit = {
        .spaces = spaces,
        .space_count = 2,
        .forbidden = &own,
        .forbidden_count = 1,
        .map = {.base = pa_of(machine.ram_start), .page_count = AUDIT_PAGES, .words = words},
    };

    check(s2_audit(&audit) == MAPPING_OK,
          "no page that Alice may write is one that Bob may, nor EL2's own: %s",
          s2_audit_rule_name(audit.finding.rule));
}

static void show_the_end(size_t tables, size_t guests)
{
    checks_topic("Every frame is back in its pool");
    audit_both();
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
    checks_topic("Alice's areas");
    describe_areas(&alice.space);
    checks_topic("Alice's translation tables");
    describe_table(s2_space_table(&alice.space));
    first = shape_of(&alice);
    show_alice();
    show_both();
    show_tlbs();
    show_formats();
    checks_topic("A fold leads back to the first tables");
    fold_all(&alice, first);
    show_the_end(tables, guests);
    return checks_finish();
}
