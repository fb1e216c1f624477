#include "hyp/story/expect.h"
#include "hyp/story/map.h"
#include "hyp/story/small.h"
#include "hyp/story/topics.h"

#define RW (S2_READ | S2_WRITE)
#define PAGE SMALL_PAGE
#define BLOCK UINT64_C(0x200000)
#define WORD UINT64_C(0x1122334455667788)

/* By pages, by blocks, read-only; a device of EL2's; and nothing for anybody. */
static const struct ipa_range PAGES = IPA_RANGE_INIT(0x240000000, 0x4000000);
static const struct ipa_range BLOCKS = IPA_RANGE_INIT(0x250000000, 0x4000000);
static const struct ipa_range CONSTANTS = IPA_RANGE_INIT(0x260000000, 0x100000);
static const struct ipa_range UART = IPA_RANGE_INIT(0x109000000, 0x1000);
static const struct ipa_range GUARD = IPA_RANGE_INIT(0x270000000, 0x1000);

static const struct s2_lazy pages = {.pool = &machine.guests};
static const struct s2_lazy blocks = {.pool = &machine.guests, .grain = BLOCK};

static uint64_t filled(const struct guest *guest)
{
    return s2_space_fault_count(&guest->space, S2_VERDICT_RETRY);
}

static size_t frames(void)
{
    return frame_pool_available(&machine.guests);
}

static void map_all(struct guest *guest)
{
    struct s2_space *space = &guest->space;

    check(s2_space_map_lazy(space, PAGES, &pages, RW | S2_EXEC) == MAPPING_OK &&
              s2_space_map_lazy(space, BLOCKS, &blocks, RW) == MAPPING_OK &&
              s2_space_map_lazy(space, CONSTANTS, &pages, S2_READ) == MAPPING_OK &&
              s2_space_map_trap(space, UART, 1) == MAPPING_OK &&
              s2_space_map_guard(space, GUARD) == MAPPING_OK,
          "Lena has 129 MiB of RAM, a UART and a guard, and no frame more than before");
}

static void check_filling(struct guest *guest)
{
    const size_t before = frames();
    const uint64_t faults = filled(guest);
    const ipa_t at = ipa_add(PAGES.start, 5 * PAGE);

    expect_answer(guest_read(guest, at), 0, "a page that she reads is there, and zero");
    check(frames() == before - 1 && filled(guest) == faults + 1, "for one fault and one frame");
    expect_answer(guest_step(guest, GUEST_STEP_FILL, ipa_number(PAGES.start), 64 * PAGE, 1), 0,
                  "she fills 256 KiB");
    check(frames() == before - 64 && filled(guest) == faults + 64,
          "for a fault and a frame each page");
    expect_answer(guest_step(guest, GUEST_STEP_VERIFY, ipa_number(PAGES.start), 64 * PAGE, 1), 0,
                  "and finds it there");
    guest_step(guest, GUEST_STEP_COPY_CODE, ipa_number(PAGES.start), 77, 0);
    expect_answer(guest_step(guest, GUEST_STEP_CALL, ipa_number(PAGES.start), 0, 0), 77,
                  "code that she writes there runs");
}

static void check_blocks(struct guest *guest)
{
    const size_t before = frames();
    const uint64_t faults = filled(guest);
    const ipa_t at = ipa_add(BLOCKS.start, BLOCK + 3 * PAGE);

    guest_write(guest, at, WORD);
    check(filled(guest) == faults + 1 && frames() == before - 512,
          "one fault brings a block of 2 MiB");
    expect_leaf(guest, at, BLOCK, "as one leaf");
    check(s2_space_unmap(&guest->space, ipa_range(ipa_number(at), PAGE)) == MAPPING_OK &&
              frames() == before - 511,
          "EL2 takes a page of it, which is free at once");
    check(small_is_refused(guest, S2_ACCESS_READ, S2_FAULT_TRANSLATION, at) &&
              guest->answer.verdict == S2_VERDICT_HOLE,
          "where the page was is a hole");
    check(s2_space_map_lazy(&guest->space, ipa_range(ipa_number(at), PAGE), &blocks, RW) ==
                  MAPPING_OK &&
              small_reads(guest, at, 0) && frames() == before - 512,
          "mapped again it is zero: what she wrote is gone");
}

static void check_device(struct guest *guest)
{
    const ipa_t reg = ipa_add(UART.start, 0x18);

    check(guest_write(guest, reg, WORD).outcome == GUEST_DONE && guest->port == WORD &&
              guest->port_offset == 0x18,
          "what she writes to her UART arrives at EL2: 8 bytes, at 0x18");
    expect_answer(guest_read(guest, reg), ~WORD, "what EL2 answers arrives in her register");
    expect_answer(guest_step(guest, GUEST_STEP_READ32, ipa_number(reg), 0, 0), (uint32_t)~WORD,
                  "4 bytes of it, where she asks for so many");
}

static void check_refusals(struct guest *guest)
{
    expect_answer(guest_read(guest, CONSTANTS.start), 0, "read-only memory comes by a read");
    check(small_is_refused(guest, S2_ACCESS_WRITE, S2_FAULT_PERMISSION, CONSTANTS.start) &&
              guest->answer.verdict == S2_VERDICT_READ_ONLY,
          "a write to it is told, once");
    check(small_is_refused(guest, S2_ACCESS_READ, S2_FAULT_TRANSLATION, GUARD.start) &&
              guest->answer.verdict == S2_VERDICT_GUARD,
          "the guard is told apart from a hole");
}

static void check_host(struct guest *guest)
{
    const ipa_t at = ipa_add(PAGES.start, 100 * PAGE - 12);
    uint64_t words[3] = {1, 2, 3};
    size_t done = 0;

    check(s2_space_write(&guest->space, at, words, sizeof(words), S2_AS_GUEST, &done) ==
                  MAPPING_OK &&
              done == sizeof(words),
          "EL2 writes across two pages that nobody had touched");
    expect_answer(guest_read(guest, ipa_add(at, 8)), 2, "she reads it, across the border");
    check(s2_space_compare(&guest->space, at, words, sizeof(words), S2_AS_GUEST, &done) ==
                  MAPPING_OK &&
              done == sizeof(words),
          "and EL2 finds it");
    check(s2_space_read(&guest->space, UART.start, words, 8, S2_AS_HOST, &done) == MAPPING_DENIED &&
              done == 0,
          "where accesses are trapped there is nothing to read");
}

/* A page of hers for another guest to read: it stays as long as either has it. */
static void check_sharing(struct guest *guest, struct guest *reader)
{
    const ipa_t at = ipa_add(PAGES.start, 200 * PAGE);
    const struct ipa_range page = ipa_range(ipa_number(at), PAGE);
    size_t before;

    guest_write(guest, at, WORD);
    check(s2_space_share(&guest->space, page, &reader->space, BLOCKS.start, S2_READ) == MAPPING_OK,
          "EL2 shares a page of hers with Mira, who may read it");
    check(small_reads(reader, BLOCKS.start, WORD), "Mira finds what Lena wrote");
    guest_write(guest, at, ~WORD);
    check(small_reads(reader, BLOCKS.start, ~WORD) &&
              small_is_refused(reader, S2_ACCESS_WRITE, S2_FAULT_PERMISSION, BLOCKS.start),
          "and what she writes now, but cannot write herself");
    map_print((struct guest *const[]){guest, reader}, 2);
    before = frames();
    check(s2_space_unmap(&guest->space, page) == MAPPING_OK && frames() == before &&
              small_reads(reader, BLOCKS.start, ~WORD),
          "Lena loses the page, and Mira has it still");
    check(s2_space_unmap(&reader->space, ipa_range(ipa_number(BLOCKS.start), PAGE)) == MAPPING_OK &&
              frames() == before + 1,
          "it is free when nobody has it");
}

/* The last that she does. */
static void check_injection(struct guest *guest)
{
    const ipa_t hole = ipa_add(GUARD.start, 8 * PAGE);
    const uint64_t *x = guest->vcpu->regs.x;

    guest->is_told = true;
    check(guest_write(guest, hole, 1).outcome == GUEST_DIED && x[3] == ipa_number(hole) &&
              x[1] == UINT64_C(0x96000050),
          "a store to a hole is told to her own handler: a data abort, external, of that address");
}

void topic_memory(void)
{
    static struct guest guest, reader;
    const struct s2_config config = small_config();
    size_t before;

    check(small_make(&guest, "Lena", &config), "Lena boots");
    before = frames();
    map_all(&guest);
    guest.has_port = true;
    check_filling(&guest);
    check_blocks(&guest);
    check_device(&guest);
    check_refusals(&guest);
    check_host(&guest);
    check(small_make(&reader, "Mira", &config), "Mira boots");
    check_sharing(&guest, &reader);
    guest_fini(&reader);
    check(s2_space_check(&guest.space), "areas, tables and frames agree");
    check_injection(&guest);
    vcpu_unload();
    check(s2_space_fini(&guest.space) == MAPPING_OK && frames() == before,
          "in the end every frame that she touched is back");
    guest_release_ram(&guest);
}
