#include "hyp/story/map.h"

#include "hyp/machine/print.h"
#include "hyp/story/describe.h"

/* Leaves that follow each other and are alike. */
struct stretch {
    ipa_t start, end;
    uint64_t leaf;
    mapping_flags_t flags;
    const char *state; /* NULL: there is none yet */
};

static const char *kind_name(enum s2_area_kind kind)
{
    static const char *const names[] = {
        [S2_AREA_LINEAR] = "linear", [S2_AREA_LAZY] = "lazy", [S2_AREA_TRAP] = "trap",
        [S2_AREA_GUARD] = "guard",   [S2_AREA_OWN] = "own",
    };

    return names[kind];
}

static void print_stretch(const struct guest *guest, struct stretch *stretch)
{
    char text[DESCRIBE_BYTES];

    if (stretch->state != NULL) {
        print("  map: %s leaf %lu %s %s %lu %lu\n", guest->name, stretch->leaf,
              describe_permissions(stretch->flags, text), stretch->state,
              ipa_number(stretch->start), ipa_number(stretch->end));
    }
    stretch->state = NULL;
}

static const char *state_of(struct guest *const guests[], size_t count, const struct guest *guest,
                            const struct s2_leaf *leaf)
{
    ipa_t ignored;

    for (size_t i = 0; i < count; i++) {
        if (guests[i] != guest &&
            s2_space_find_pa(&guests[i]->space, leaf->pa, ipa_of(0), 0, &ignored) == MAPPING_OK) {
            return "shared";
        }
    }
    return (leaf->flags & (S2_DBM | S2_WRITE)) == (S2_DBM | S2_WRITE) ? "dirty" : "own";
}

static void note(const struct guest *guest, struct stretch *stretch, struct stretch next)
{
    if (stretch->state == next.state && stretch->leaf == next.leaf &&
        stretch->flags == next.flags && ipa_eq(stretch->end, next.start)) {
        stretch->end = next.end;
        return;
    }
    print_stretch(guest, stretch);
    *stretch = next;
}

static void print_leaves(struct guest *const guests[], size_t count, struct guest *guest,
                         struct ipa_range range)
{
    const ipa_t end = ipa_range_end(range);
    struct stretch stretch = {.state = NULL};
    ipa_t at = range.start;

    while (ipa_lt(at, end)) {
        struct s2_leaf leaf;
        const enum mapping_error error = s2_space_lookup(&guest->space, at, &leaf);
        const ipa_t next = ipa_min(end, ipa_add(ipa_align_down(at, leaf.size), leaf.size));

        if (error == MAPPING_OK) {
            note(guest, &stretch,
                 (struct stretch){at, next, leaf.size, leaf.flags,
                                  state_of(guests, count, guest, &leaf)});
        }
        at = next;
    }
    print_stretch(guest, &stretch);
}

void map_print(struct guest *const guests[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct guest *guest = guests[i];
        const struct memory_set *areas = s2_space_areas(&guest->space);
        char text[DESCRIBE_BYTES];

        for (const struct memory_area *area = memory_set_first(areas); area != NULL;
             area = memory_set_next(areas, area)) {
            print("  map: %s area %s %s %lu %lu\n", guest->name, kind_name(s2_area_kind(area)),
                  describe_permissions(area->flags, text), ipa_number(area->range.start),
                  ipa_number(ipa_range_end(area->range)));
            print_leaves(guests, count, guest, area->range);
        }
    }
}
