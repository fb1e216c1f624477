/*
 * instr_fault.c - what a guest's faults cost among 1,000 areas, from the registers to the verdict; and
 * what the host pays to look at its memory.
 *
 * Half of the areas are lazy pages, half traps, turn by turn. FWB, so nothing is cleaned.
 */
#include "tests/bench/instr.h"

#define POOL_FRAMES 8192
#define AREAS 1000
#define SINGLES UINT64_C(512)
#define RW (S2_READ | S2_WRITE)
#define RAM (UINT64_C(8) * GIB)
#define DABT_WRITE (UINT64_C(0x24) << 26 | UINT64_C(1) << 25 | UINT64_C(1) << 6)
#define TRANSLATION 0x07
#define PERMISSION 0x0f
#define WITH_X9 (UINT64_C(1) << 24 | 3U << 22 | 9U << 16 | 1U << 15)

static struct s2_space space;
static struct frame_pool pool;
static struct memory_node nodes[AREAS + 16];
static const struct s2_lazy lazy = {.pool = &pool};
static uint64_t words[SINGLES];
static struct s2_fault faults[SINGLES / 2];

static uint64_t trap_at(uint64_t i)
{
    return GUEST_IPA + 2 * i * PAGE;
}

static struct s2_fault decode(uint64_t esr, uint64_t ipa)
{
    const struct s2_fault_regs regs = {
        .esr = DABT_WRITE | esr, .far = ipa, .hpfar = ipa >> 12 << 4, .par = ipa};

    return s2_fault_decode(&regs);
}

static struct s2_answer fault(uint64_t esr, uint64_t ipa)
{
    const struct s2_fault decoded = decode(esr, ipa);

    return s2_space_handle_fault(&space, &decoded);
}

static void with_areas(void)
{
    instr_space_init(&space, &pool, POOL_FRAMES, nodes, sizeof(nodes) / sizeof(nodes[0]));
    for (uint64_t i = 0; i < AREAS; i++) {
        instr_must(s2_space_map_trap(&space, ipa_range(trap_at(i), PAGE), i), "trap");
    }
    instr_must(s2_space_map_lazy(&space, ipa_range(RAM, GIB), &lazy, RW), "lazy");
}

/* Every page but the first: tables of pages exist. */
static uint64_t single(uint64_t i)
{
    return RAM + (instr_shuffled(i, SINGLES) | 1) * PAGE;
}

static void with_table(void)
{
    with_areas();
    instr_must_be(fault(TRANSLATION, RAM).retry == S2_RETRY_FILLED, "the first fill");
}

static void fill_singles(void)
{
    for (uint64_t i = 0; i < SINGLES / 2; i++) {
        instr_must_be(fault(TRANSLATION, single(2 * i + 1)).retry == S2_RETRY_FILLED, "a fill");
    }
}

static void with_pages(void)
{
    with_table();
    fill_singles();
}

/* Decoded before: what is counted is handle_fault alone. */
static void with_faults(uint64_t esr)
{
    with_pages();
    for (uint64_t i = 0; i < SINGLES / 2; i++) {
        faults[i] = decode(esr, single(2 * i + 1));
    }
}

static void with_races(void)
{
    with_faults(TRANSLATION);
}

static void with_stale(void)
{
    with_faults(PERMISSION);
}

static void with_traps(void)
{
    with_areas();
    for (uint64_t i = 0; i < SINGLES / 2; i++) {
        faults[i] = decode(TRANSLATION | WITH_X9, trap_at(instr_shuffled(i, SINGLES)) + 8);
    }
}

static void handle_all(void)
{
    for (uint64_t i = 0; i < SINGLES / 2; i++) {
        const enum s2_verdict verdict = s2_space_handle_fault(&space, &faults[i]).verdict;

        instr_must_be(verdict == S2_VERDICT_RETRY || verdict == S2_VERDICT_EMULATE, "a verdict");
    }
}

static void decode_all(void)
{
    for (uint64_t i = 0; i < SINGLES / 2; i++) {
        faults[i] = decode(TRANSLATION | WITH_X9, RAM + i);
    }
}

static void read_words(void)
{
    for (uint64_t i = 0; i < SINGLES / 2; i++) {
        instr_must(
            s2_space_read(&space, ipa_of(single(2 * i + 1)), &words[i], 8, S2_AS_GUEST, NULL),
            "read");
    }
}

/* Zeroing is apart: callgrind counts 4,112 for a page of it, one a byte. */
const struct instr_case INSTR_FAULT[] = {
    {"space.fault_decode", 200, 0, SINGLES / 2, NULL, decode_all},
    {"space.fault_fill_page", 1500 + 4112, 0, SINGLES / 2, with_table, fill_singles},
    {"space.fault_raced", 400, 0, SINGLES / 2, with_races, handle_all},
    {"space.fault_stale", 400, 0, SINGLES / 2, with_stale, handle_all},
    {"space.fault_trap", 400, 0, SINGLES / 2, with_traps, handle_all},
    {"space.read_8", 350, 0, SINGLES / 2, with_pages, read_words},
    {NULL, 0, 0, 0, NULL, NULL},
};
