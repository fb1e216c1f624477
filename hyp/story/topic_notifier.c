#include "hyp/story/expect.h"
#include "hyp/story/small.h"
#include "hyp/story/topics.h"

/* A listener that writes down what it is told, as a driver would pass it on to a device that walks
 * the same tables. */
#define RECORDS 16
#define PAGES ipa_range(SMALL_PAGES_IPA, SMALL_PAGES_SIZE)
#define BLOCK ipa_range(SMALL_BLOCK_IPA, SMALL_BLOCK_SIZE)
#define PAGE ipa_range(SMALL_BLOCK_IPA + 0x5000, SMALL_PAGE)
#define RW (S2_READ | S2_WRITE)

struct record {
    struct ipa_range range;
    int level;
    size_t frames; /* free for tables as it was told */
};

struct listener {
    struct record records[RECORDS];
    size_t count;
};

static void listen(void *arg, struct ipa_range range, int level)
{
    struct listener *listener = arg;

    if (listener->count < RECORDS) {
        listener->records[listener->count] =
            (struct record){range, level, frame_pool_available(&machine.tables)};
    }
    listener->count++;
}

/* Whether it heard something, of one level or of any, and all of it together is @range. */
static bool heard(const struct listener *listener, struct ipa_range range, int level)
{
    uint64_t size = 0;

    for (size_t i = 0; i < listener->count && i < RECORDS; i++) {
        const struct record *record = &listener->records[i];

        if (!ipa_range_covers(range, record->range) || record->level != level) {
            check_note("told of 0x%lx, 0x%lx bytes, level %d", ipa_number(record->range.start),
                       record->range.size, record->level);
            return false;
        }
        size += record->range.size;
    }
    return listener->count != 0 && size == range.size;
}

static void check_split(struct guest *guest, struct listener *listener)
{
    pa_t pa = small_pa(guest, PAGE);

    vcpu_unload(); /* nobody is loaded: the flush brings the guest's registers */
    listener->count = 0;
    check(s2_space_unmap(&guest->space, PAGE) == MAPPING_OK && heard(listener, BLOCK, 2),
          "a page is split out of a block: it hears of the block, level 2");
    listener->count = 0;
    check(s2_space_map_linear(&guest->space, PAGE, pa, RW) == MAPPING_OK && listener->count == 0,
          "the page is mapped again: it hears nothing, as nothing was there");
    listener->count = 0;
    check(s2_space_fold(&guest->space, BLOCK) == MAPPING_OK && listener->count == 1 &&
              heard(listener, BLOCK, S2_TLB_LEVEL_ANY),
          "a fold: it hears of the block, any level");
}

static void check_protect(struct guest *guest, struct listener *listener)
{
    listener->count = 0;
    check(s2_space_protect(&guest->space, PAGES, S2_READ) == MAPPING_OK &&
              heard(listener, PAGES, S2_LEVEL_PAGE),
          "pages become read-only: it hears of them, level 3");
    check(small_is_refused(guest, S2_ACCESS_WRITE, S2_FAULT_PERMISSION, PAGES.start),
          "and the guest's next store is refused");
}

/* The table of the pages goes with them; the device may walk it until it has been told. */
static void check_frames(struct guest *guest, struct listener *listener)
{
    size_t before = frame_pool_available(&machine.tables);
    struct ipa_range table =
        ipa_range(ipa_number(ipa_align_down(PAGES.start, SMALL_BLOCK_SIZE)), SMALL_BLOCK_SIZE);

    listener->count = 0;
    check(s2_space_unmap(&guest->space, PAGES) == MAPPING_OK &&
              heard(listener, table, S2_TLB_LEVEL_ANY),
          "all pages of a table are unmapped: it hears of all that the table spans, any level");
    check(listener->records[0].frames == before &&
              frame_pool_available(&machine.tables) == before + 1,
          "the table's frame was not free yet as it heard, and is now");
}

void topic_notifier(void)
{
    static struct guest guest;
    static struct listener listener;
    struct s2_config config = small_config();

    config.notifier = (struct s2_notifier){listen, &listener};
    check(small_make(&guest, "Quinn", &config), "Quinn boots, with a device's driver listening");
    check_split(&guest, &listener);
    check_protect(&guest, &listener);
    check_frames(&guest, &listener);
    listener.count = 0;
    guest_fini(&guest);
    check(heard(&listener, ipa_range(0, MAPPING_BIT(SMALL_IPA_BITS)), S2_TLB_LEVEL_ANY),
          "Quinn ends: it hears of all addresses that there are");
}
