#include "hyp/machine/print.h"
#include "hyp/story/expect.h"
#include "hyp/story/small.h"
#include "hyp/story/topics.h"
#include "stage2/trestle.h"

/*
 * One batch takes from two guests:
 *
 *      from Nora  all her pages, so that their table goes too; a page out of her block
 *      from Otto  a page; the permission to write another
 *
 * The block was split there before, as a split flushes by itself: what stays must not be away for
 * long. Paula is loaded meanwhile; the second time Nora is, who has just used what goes.
 */
#define PAGES ipa_range(SMALL_PAGES_IPA, SMALL_PAGES_SIZE)
#define FAR_PAGE ipa_range(SMALL_BLOCK_IPA + 0x5000, SMALL_PAGE)
#define PAGE ipa_range(SMALL_PAGES_IPA + 0x3000, SMALL_PAGE)
#define OTHER_PAGE ipa_range(SMALL_PAGES_IPA + 0x9000, SMALL_PAGE)
#define RW (S2_READ | S2_WRITE)

struct cast {
    struct guest *nora;
    struct guest *otto;
    struct guest *paula;
};

/* What is where, to put it back. */
struct places {
    pa_t pages;
    pa_t far_page;
    pa_t page;
};

static struct s2_tlb_counters counters_of(const struct guest *guest)
{
    return *s2_table_tlb_counters(s2_space_table(&guest->space));
}

static void use(struct guest *guest, uint64_t word)
{
    guest_write(guest, PAGE.start, word);
    guest_write(guest, OTHER_PAGE.start, word);
    guest_write(guest, FAR_PAGE.start, word);
}

static bool take(struct s2_batch *batch, const struct cast *cast)
{
    return s2_batch_unmap(batch, &cast->nora->space, PAGES) == MAPPING_OK &&
           s2_batch_unmap(batch, &cast->otto->space, PAGE) == MAPPING_OK &&
           s2_batch_protect(batch, &cast->otto->space, OTHER_PAGE, S2_READ) == MAPPING_OK &&
           s2_batch_unmap(batch, &cast->nora->space, FAR_PAGE) == MAPPING_OK;
}

static void check_flushes(const struct cast *cast)
{
    const struct s2_tlb_counters nora = counters_of(cast->nora), otto = counters_of(cast->otto);
    const struct s2_tlb_counters paula = counters_of(cast->paula);
    uint64_t frames = frame_pool_available(&machine.tables);
    struct s2_batch batch = S2_BATCH_INIT;
    bool is_taken;

    s2_batch_begin(&batch);
    is_taken = take(&batch, cast);
    check(is_taken && frame_pool_available(&machine.tables) == frames &&
              counters_of(cast->nora).flushes == nora.flushes &&
              counters_of(cast->otto).flushes == otto.flushes,
          "a batch takes pages from %s and %s: no flush yet, and no frame is free",
          cast->nora->name, cast->otto->name);
    s2_batch_end(&batch);
    check(counters_of(cast->nora).flushes == nora.flushes + 1 &&
              counters_of(cast->otto).flushes == otto.flushes + 1 &&
              counters_of(cast->paula).flushes == paula.flushes,
          "it ends: one flush for %s, one for %s, none for %s", cast->nora->name, cast->otto->name,
          cast->paula->name);
    check(counters_of(cast->nora).saved_flushes == nora.saved_flushes + 1 &&
              counters_of(cast->otto).saved_flushes == otto.saved_flushes + 1 &&
              frame_pool_available(&machine.tables) == frames + 1,
          "either is for two changes; the frame of %s's table is free", cast->nora->name);
}

static void check_gone(const struct cast *cast)
{
    bool nora =
        small_is_refused(cast->nora, S2_ACCESS_READ, S2_FAULT_TRANSLATION, PAGE.start) &&
        small_is_refused(cast->nora, S2_ACCESS_READ, S2_FAULT_TRANSLATION, OTHER_PAGE.start) &&
        small_is_refused(cast->nora, S2_ACCESS_READ, S2_FAULT_TRANSLATION, FAR_PAGE.start);
    bool otto =
        small_is_refused(cast->otto, S2_ACCESS_READ, S2_FAULT_TRANSLATION, PAGE.start) &&
        small_is_refused(cast->otto, S2_ACCESS_WRITE, S2_FAULT_PERMISSION, OTHER_PAGE.start) &&
        small_reads(cast->otto, OTHER_PAGE.start, 2) && small_reads(cast->otto, FAR_PAGE.start, 2);

    check(nora && otto, "neither reaches what was taken, and %s reads what is left to him",
          cast->otto->name);
    check(small_reads(cast->paula, PAGE.start, 3) && small_reads(cast->paula, FAR_PAGE.start, 3),
          "%s has all of hers at the same addresses", cast->paula->name);
}

static struct places places_of(const struct cast *cast)
{
    return (struct places){
        .pages = small_pa(cast->nora, PAGES),
        .far_page = small_pa(cast->nora, FAR_PAGE),
        .page = small_pa(cast->otto, PAGE),
    };
}

/* Makes and takes back in one batch too: what is made is there at once. */
static void check_put_back(const struct cast *cast, const struct places *places)
{
    struct s2_batch batch = S2_BATCH_INIT;
    bool is_back;

    s2_batch_begin(&batch);
    is_back =
        s2_batch_map_linear(&batch, &cast->nora->space, PAGES, places->pages, RW) == MAPPING_OK &&
        s2_batch_map_linear(&batch, &cast->nora->space, FAR_PAGE, places->far_page, RW) ==
            MAPPING_OK &&
        s2_batch_replace_linear(&batch, &cast->otto->space, PAGE, places->page, RW) == MAPPING_OK &&
        s2_batch_protect(&batch, &cast->otto->space, OTHER_PAGE, RW) == MAPPING_OK;
    s2_batch_end(&batch);
    check(is_back && small_reads(cast->nora, PAGE.start, 1) &&
              small_reads(cast->nora, FAR_PAGE.start, 1) &&
              small_reads(cast->otto, PAGE.start, 2) &&
              guest_write(cast->otto, OTHER_PAGE.start, 2).outcome == GUEST_DONE,
          "another batch puts all of it back, and both find what they had there");
}

static void check_batch(const struct cast *cast, struct guest *loaded)
{
    const struct places places = places_of(cast);

    use(cast->nora, 1);
    use(cast->otto, 2);
    use(cast->paula, 3);
    guest_read(loaded, PAGE.start);
    guest_read(loaded, OTHER_PAGE.start);
    guest_read(loaded, FAR_PAGE.start);
    print("  (%s is loaded)\n", loaded->name);
    check_flushes(cast);
    check_gone(cast);
    check_put_back(cast, &places);
}

static bool split(struct guest *guest, struct ipa_range page)
{
    pa_t pa = small_pa(guest, page);

    return s2_space_unmap(&guest->space, page) == MAPPING_OK &&
           s2_space_map_linear(&guest->space, page, pa, RW) == MAPPING_OK;
}

void topic_batch(void)
{
    static struct guest nora, otto, paula;
    const struct cast cast = {&nora, &otto, &paula};
    const struct s2_config config = small_config();

    check(small_make(&nora, "Nora", &config) && small_make(&otto, "Otto", &config) &&
              small_make(&paula, "Paula", &config),
          "Nora, Otto and Paula boot");
    check(split(&nora, FAR_PAGE), "a page of Nora's block gets an entry of its own");
    check_batch(&cast, &paula);
    check_batch(&cast, &nora);
    guest_fini(&nora);
    guest_fini(&otto);
    guest_fini(&paula);
}
