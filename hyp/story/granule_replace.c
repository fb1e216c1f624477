#include "hyp/machine/panic.h"
#include "hyp/story/expect.h"
#include "hyp/story/granule_guest.h"

/*
 * s2_table_replace() is for one who keeps no areas. So the guest goes on in a table of its own
 * that shows no more of its memory than its program and its runs; then back to its space.
 */
#define SEED 8
#define RW (S2_READ | S2_WRITE)
#define FLAGS (RW | S2_SOFT0)

static bool map_as_in_space(const struct granule_guest *on, struct s2_table *table,
                            struct ipa_range range, mapping_flags_t flags)
{
    struct s2_leaf leaf;

    return s2_space_lookup(&on->guest->space, range.start, &leaf) == MAPPING_OK &&
           s2_table_map(table, range, leaf.pa, flags) == MAPPING_OK;
}

static bool has_run(const struct s2_table *table, ipa_t ipa, uint64_t run)
{
    struct s2_leaf leaf;

    return s2_table_lookup(table, ipa, &leaf) == MAPPING_OK && leaf.run == run &&
           leaf.flags == FLAGS;
}

static bool replace(struct s2_table *table, struct ipa_range range, pa_t pa)
{
    return s2_table_replace(table, range, pa) == MAPPING_OK;
}

static void check_page(const struct granule_guest *on, struct s2_table *table, pa_t other)
{
    struct guest *guest = on->guest;
    uint64_t at = ipa_number(on->runs.start) + on->run / 2;
    struct ipa_range page = ipa_range(at, on->page);
    struct s2_leaf leaf = {.size = 0};

    expect_answer(guest_read(guest, page.start), guest_pattern(at, SEED),
                  "the guest goes on in a table without areas, and uses a page of a run");
    check(s2_table_lookup(table, page.start, &leaf) == MAPPING_OK && replace(table, page, other),
          "EL2 replaces the memory under that page");
    expect_answer(guest_read(guest, page.start), 0, "the guest sees it at once");
    check(has_run(table, page.start, on->page) && has_run(table, on->runs.start, on->page) &&
              has_run(table, ipa_of(ipa_number(on->runs.start) + on->run), on->run),
          "its run is broken, the other is not, and every attribute is kept");
    check(replace(table, page, leaf.pa) && s2_table_fold(table, on->runs) == MAPPING_OK &&
              has_run(table, page.start, on->run),
          "EL2 puts the first memory back and folds: a run again");
    expect_answer(guest_read(guest, page.start), guest_pattern(at, SEED),
                  "the guest finds what it had there");
}

static void check_run(const struct granule_guest *on, struct s2_table *table, pa_t other)
{
    struct ipa_range run = ipa_range(ipa_number(on->runs.start), on->run);

    check(replace(table, run, other) && has_run(table, run.start, on->run),
          "EL2 replaces all of the run, and it stays one");
    expect_answer(guest_read(on->guest, run.start), 0, "the guest sees it at once");
}

static void check_hole(const struct granule_guest *on, struct s2_table *table, pa_t other)
{
    check(s2_table_replace(table, ipa_range(GRANULE_HOLE_IPA, on->page), other) ==
              MAPPING_NOT_FOUND,
          "under a hole there is nothing to replace: MAPPING_NOT_FOUND");
}

void granule_replace(const struct granule_guest *on)
{
    static struct s2_table table;
    struct guest *guest = on->guest;
    pa_t other = guest_take_block(guest, on->run);

    if (!check(s2_table_init(&table, &on->config, &machine.tables) == MAPPING_OK,
               "a table without areas is made")) {
        return;
    }
    if (check(map_as_in_space(on, &table, ipa_range(GUEST_IMAGE_IPA, GUEST_IMAGE_SIZE),
                              RW | S2_EXEC) &&
                  map_as_in_space(on, &table, on->runs, FLAGS),
              "the program and the runs are mapped in it")) {
        guest_step(guest, GUEST_STEP_FILL, ipa_number(on->runs.start), on->runs.size, SEED);
        vcpu_set_table(guest->vcpu, &table);
        check_page(on, &table, other);
        check_run(on, &table, other);
        check_hole(on, &table, other);
        check(s2_table_check(&table), "the table is in order");
        vcpu_set_table(guest->vcpu, s2_space_enterable(&guest->space));
    }
    if (s2_table_fini(&table) != MAPPING_OK) {
        panic("a table that was left does not end");
    }
}
