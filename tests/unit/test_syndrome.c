/*
 * test_syndrome.c - aborts as manual and emulators give them, and every other that there could be.
 */
#include "core/bits.h"
#include "stage2/arch/syndrome.h"
#include "tests/model/random.h"
#include "tests/unit/test.h"

#include <check.h>
#include <string.h>

#define SUITE "syndrome"

#define IABT (UINT64_C(0x20) << 26 | MAPPING_BIT(25))
#define DABT (UINT64_C(0x24) << 26 | MAPPING_BIT(25))
#define S1PTW MAPPING_BIT(7)
#define WNR MAPPING_BIT(6)
#define CM MAPPING_BIT(8)
#define FNV MAPPING_BIT(10)
#define ISV MAPPING_BIT(24)

#define VA UINT64_C(0xffff800010203abc)
#define HPFAR UINT64_C(0x0000000000456780) /* page 0x45678000 */
#define PAR UINT64_C(0xff00000012345b80)   /* attributes above, page 0x12345000, F = 0 */

static struct s2_fault decode(uint64_t esr)
{
    return s2_fault_decode(&(struct s2_fault_regs){esr, VA, HPFAR, PAR});
}

/* What a line of the manual comes to. @ipa: 0: unknown. */
struct sample {
    uint64_t esr;
    enum s2_fault_kind kind;
    enum s2_access access;
    int level;
    uint64_t ipa;
};

static const struct sample samples[] = {
    /* All levels of what has one; the page is in HPFAR_EL2, the byte in FAR_EL2. */
    {DABT | 0x04, S2_FAULT_TRANSLATION, S2_ACCESS_READ, 0, 0x45678abc},
    {DABT | 0x07 | WNR, S2_FAULT_TRANSLATION, S2_ACCESS_WRITE, 3, 0x45678abc},
    {DABT | 0x2b, S2_FAULT_TRANSLATION, S2_ACCESS_READ, -1, 0x45678abc},
    {IABT | 0x06, S2_FAULT_TRANSLATION, S2_ACCESS_FETCH, 2, 0x45678abc},
    {DABT | 0x00, S2_FAULT_ADDRESS_SIZE, S2_ACCESS_READ, 0, 0x45678abc},
    {DABT | 0x29 | WNR, S2_FAULT_ADDRESS_SIZE, S2_ACCESS_WRITE, -1, 0x45678abc},
    {DABT | 0x0b, S2_FAULT_ACCESS_FLAG, S2_ACCESS_READ, 3, 0x45678abc},
    {DABT | 0x08, S2_FAULT_ACCESS_FLAG, S2_ACCESS_READ, 0, 0x45678abc},
    /* HPFAR_EL2 is not valid: AT S1E1R has the page. */
    {DABT | 0x0f | WNR, S2_FAULT_PERMISSION, S2_ACCESS_WRITE, 3, 0x12345abc},
    {IABT | 0x0e, S2_FAULT_PERMISSION, S2_ACCESS_FETCH, 2, 0x12345abc},
    {DABT | 0x21 | ISV, S2_FAULT_ALIGNMENT, S2_ACCESS_READ, 0, 0x12345abc},
    /* The walk of the guest's own tables, to the page. A permission fault there is a write, whatever
     * EC and WnR say: 0x8200008f and 0x9200008f are what Linux causes in write-protected RAM. */
    {UINT64_C(0x8200008f), S2_FAULT_PERMISSION, S2_ACCESS_WRITE, 3, 0x45678000},
    {UINT64_C(0x9200008f), S2_FAULT_PERMISSION, S2_ACCESS_WRITE, 3, 0x45678000},
    {DABT | 0x0f | S1PTW | WNR, S2_FAULT_PERMISSION, S2_ACCESS_WRITE, 3, 0x45678000},
    {DABT | 0x07 | S1PTW | WNR, S2_FAULT_TRANSLATION, S2_ACCESS_READ, 3, 0x45678000},
    {IABT | 0x0b | S1PTW, S2_FAULT_ACCESS_FLAG, S2_ACCESS_READ, 3, 0x45678000},
    /* Maintenance reports a write, and is none. */
    {DABT | 0x07 | CM | WNR, S2_FAULT_TRANSLATION, S2_ACCESS_CLEAN, 3, 0x45678abc},
    {DABT | 0x0f | CM | WNR, S2_FAULT_PERMISSION, S2_ACCESS_CLEAN, 3, 0x12345abc},
    /* FAR_EL2 is not valid. */
    {DABT | 0x07 | FNV, S2_FAULT_TRANSLATION, S2_ACCESS_READ, 3, 0x45678000},
    {DABT | 0x0f | FNV, S2_FAULT_PERMISSION, S2_ACCESS_READ, 3, 0},
    /* What has no page. */
    {DABT | 0x10, S2_FAULT_EXTERNAL, S2_ACCESS_READ, 0, 0},
    {DABT | 0x13, S2_FAULT_EXTERNAL, S2_ACCESS_READ, 0, 0},
    {DABT | 0x17, S2_FAULT_EXTERNAL, S2_ACCESS_READ, 0, 0},
    {IABT | 0x18, S2_FAULT_EXTERNAL, S2_ACCESS_FETCH, 0, 0},
    {DABT | 0x1b, S2_FAULT_EXTERNAL, S2_ACCESS_READ, 0, 0},
    {DABT | 0x1f, S2_FAULT_EXTERNAL, S2_ACCESS_READ, 0, 0},
    {DABT | 0x23, S2_FAULT_EXTERNAL, S2_ACCESS_READ, 0, 0},
    {DABT | 0x28, S2_FAULT_EXTERNAL, S2_ACCESS_READ, 0, 0},
    {DABT | 0x30, S2_FAULT_TLB_CONFLICT, S2_ACCESS_READ, 0, 0},
    {DABT | 0x31 | WNR, S2_FAULT_UPDATE, S2_ACCESS_WRITE, 0, 0},
    {DABT | 0x11, S2_FAULT_OTHER, S2_ACCESS_READ, 0, 0}, /* FEAT_MTE: a tag check, at stage 1 */
    {DABT | 0x12, S2_FAULT_OTHER, S2_ACCESS_READ, 0, 0},
    {DABT | 0x19, S2_FAULT_OTHER, S2_ACCESS_READ, 0, 0},
    {DABT | 0x20, S2_FAULT_OTHER, S2_ACCESS_READ, 0, 0},
    {DABT | 0x2a, S2_FAULT_OTHER, S2_ACCESS_READ, 0, 0},
    {DABT | 0x34, S2_FAULT_OTHER, S2_ACCESS_READ, 0, 0},
    {DABT | 0x35, S2_FAULT_EXTERNAL, S2_ACCESS_READ, 0, 0}, /* LDXR of what cannot */
    {DABT | 0x3f, S2_FAULT_OTHER, S2_ACCESS_READ, 0, 0},
};

TEST_EACH(decode_says_what_the_manual_does, COUNT(samples))
{
    const struct sample *sample = &samples[_i];
    const struct s2_fault fault = decode(sample->esr);

    ck_assert_int_eq(fault.kind, sample->kind);
    ck_assert_int_eq(fault.access, sample->access);
    ck_assert_int_eq(fault.level, sample->level);
    ck_assert_uint_eq(fault.has_ipa, sample->ipa != 0);
    ck_assert_uint_eq(fault.ipa.raw, sample->ipa);
    ck_assert_uint_eq(fault.esr, sample->esr);
    ck_assert_uint_eq(fault.has_va, (sample->esr & FNV) == 0);
    ck_assert_uint_eq(fault.va, (sample->esr & FNV) == 0 ? VA : 0);
    ck_assert_uint_eq(fault.on_walk, (sample->esr & S1PTW) != 0);
    ck_assert_uint_eq(fault.is_fetch, sample->esr >> 26 == 0x20);
}

/* AT S1E1R fails where another CPU of the guest has changed its tables since. */
TEST(page_that_at_does_not_find_is_unknown)
{
    struct s2_fault_regs regs = {DABT | 0x0f, VA, HPFAR, S2_PAR_F | 0x12345000};
    struct s2_fault fault = s2_fault_decode(&regs);

    ck_assert(s2_fault_needs_par(regs.esr));
    ck_assert_int_eq(fault.kind, S2_FAULT_PERMISSION);
    ck_assert(fault.has_va && !fault.has_ipa);
    /* And nobody needs to ask where HPFAR_EL2 knows, or where nothing does. */
    ck_assert(!s2_fault_needs_par(DABT | 0x07));
    ck_assert(!s2_fault_needs_par(DABT | 0x0f | S1PTW));
    ck_assert(!s2_fault_needs_par(DABT | 0x0f | FNV));
    ck_assert(!s2_fault_needs_par(DABT | 0x30));
    ck_assert(!s2_fault_needs_par(UINT64_C(0x16) << 26 | 0x0f));
}

TEST(whole_of_the_input_size_is_told)
{
    const struct s2_fault_regs regs = {DABT | 0x07, VA, UINT64_MAX, S2_PAR_F};

    ck_assert_uint_eq(s2_fault_decode(&regs).ipa.raw, UINT64_C(0xffffffffffabc));
}

TEST(exits_of_other_kinds_are_no_faults)
{
    for (uint64_t class = 0; class < 64; class ++) {
        const struct s2_fault fault = decode(class << 26 | 0x07);

        ck_assert(s2_fault_is(class << 26) == (class == 0x20 || class == 0x24));
        ck_assert((fault.kind == S2_FAULT_NONE) == !s2_fault_is(class << 26));
        ck_assert(fault.has_ipa == s2_fault_is(class << 26));
    }
}

/* --- Transfers -------------------------------------------------------------------------------- */

/* SAS, SSE, SRT, SF, AR of an LDRSW into x9, say. */
static uint64_t transfer_of(unsigned sas, bool is_signed, unsigned reg, bool is_64bit)
{
    return ISV | (uint64_t)sas << 22 | (uint64_t)is_signed << 21 | (uint64_t)reg << 16 |
           (uint64_t)is_64bit << 15;
}

TEST_EACH(transfer_tells_how_to_emulate, 4)
{
    const struct s2_transfer got =
        decode(DABT | 0x07 | transfer_of((unsigned)_i, true, 9, true)).transfer;
    const struct s2_transfer other =
        decode(DABT | 0x07 | MAPPING_BIT(14) | transfer_of((unsigned)_i, false, 31, false))
            .transfer;

    ck_assert(got.is_valid && got.is_signed && got.is_64bit && !got.is_ordered);
    ck_assert_uint_eq(got.bytes, 1U << _i);
    ck_assert_uint_eq(got.reg, 9);
    ck_assert(other.is_valid && !other.is_signed && !other.is_64bit && other.is_ordered);
    ck_assert_uint_eq(other.reg, 31);
}

/* Pairs, vectors, DC ZVA: half of what a kernel does. A walk moves nothing, nor does a fetch. */
TEST(transfer_is_unknown_without_isv)
{
    ck_assert(!decode(DABT | 0x07 | MAPPING_FIELD(23, 15)).transfer.is_valid);
    ck_assert(!decode(DABT | 0x07 | S1PTW | ISV).transfer.is_valid);
    ck_assert(!decode(IABT | 0x07 | ISV).transfer.is_valid);
}

TEST(value_is_extended_as_the_load_does)
{
    const struct s2_transfer ldrb = {.is_valid = true, .bytes = 1};
    const struct s2_transfer ldrsb_w = {.is_valid = true, .bytes = 1, .is_signed = true};
    const struct s2_transfer ldrsh = {
        .is_valid = true, .bytes = 2, .is_signed = true, .is_64bit = true};
    const struct s2_transfer ldrsw = {
        .is_valid = true, .bytes = 4, .is_signed = true, .is_64bit = true};
    const struct s2_transfer ldr = {.is_valid = true, .bytes = 8, .is_64bit = true};

    ck_assert_uint_eq(s2_transfer_extend(&ldrb, 0x1ff), 0xff);
    ck_assert_uint_eq(s2_transfer_extend(&ldrsb_w, 0x80), UINT64_C(0xffffff80));
    ck_assert_uint_eq(s2_transfer_extend(&ldrsh, 0x8000), UINT64_C(0xffffffffffff8000));
    ck_assert_uint_eq(s2_transfer_extend(&ldrsh, 0x7fff), 0x7fff);
    ck_assert_uint_eq(s2_transfer_extend(&ldrsw, 0x80000000), UINT64_C(0xffffffff80000000));
    ck_assert_uint_eq(s2_transfer_extend(&ldr, UINT64_MAX), UINT64_MAX);
}

/* --- Every abort there could be --------------------------------------------------------------- */

/* Counted, as an assertion each takes longer than what is tested. */
static bool is_sound(const struct s2_fault_regs *regs)
{
    const struct s2_fault fault = s2_fault_decode(regs);
    const bool has_kind = fault.kind > S2_FAULT_NONE && fault.kind <= S2_FAULT_OTHER &&
                          fault.access <= S2_ACCESS_CLEAN && fault.level >= -1 && fault.level <= 3;
    const bool has_place = fault.has_ipa ? fault.ipa.raw < MAPPING_BIT(52) : fault.ipa.raw == 0;

    return has_kind && has_place &&
           (!fault.transfer.is_valid || !(fault.is_fetch || fault.on_walk)) &&
           (!fault.on_walk || fault.access != S2_ACCESS_FETCH) &&
           (!s2_fault_needs_par(regs->esr) || fault.has_va);
}

/* All of ISS but SRT, which is a register's number and no more, in both classes. */
TEST_EACH(no_syndrome_is_too_strange, 2)
{
    struct random random = {(uint64_t)_i};
    size_t strange = 0;

    for (uint64_t iss = 0; iss < MAPPING_BIT(20); iss++) {
        const uint64_t esr = (_i == 0 ? IABT : DABT) | (iss & MAPPING_FIELD(15, 0)) |
                             (iss & MAPPING_FIELD(19, 16)) << 5 | (iss & 31) << 16;

        strange += !is_sound(&(struct s2_fault_regs){esr, random_next(&random),
                                                     random_next(&random), random_next(&random)});
    }
    ck_assert_uint_eq(strange, 0);
}

/* --- Injection -------------------------------------------------------------------------------- */

#define VBAR UINT64_C(0xffff000000081800)
#define PC UINT64_C(0xffff000000123450)
#define EL0T UINT64_C(0x0)
#define EL1T UINT64_C(0x4)
#define EL1H UINT64_C(0x5)
#define NZCV UINT64_C(0xf0000000)
#define DAIF UINT64_C(0x3c0)
#define SPAN MAPPING_BIT(23)

static struct s2_injection inject(uint64_t esr, struct s2_guest_state guest)
{
    const struct s2_fault fault = decode(esr);

    guest.pc = PC;
    guest.vbar_el1 = VBAR;
    return s2_fault_inject(&fault, &guest);
}

TEST(kernel_is_told_at_its_own_vector)
{
    const struct s2_injection told = inject(
        DABT | 0x07 | WNR | ISV, (struct s2_guest_state){.spsr = NZCV | EL1H, .sctlr_el1 = SPAN});

    ck_assert_uint_eq(told.esr_el1, UINT64_C(0x25) << 26 | MAPPING_BIT(25) | WNR | 0x10);
    ck_assert_uint_eq(told.far_el1, VA);
    ck_assert_uint_eq(told.elr_el1, PC);
    ck_assert_uint_eq(told.spsr_el1, NZCV | EL1H);
    ck_assert_uint_eq(told.pc, VBAR + 0x200);
    ck_assert_uint_eq(told.spsr, NZCV | DAIF | EL1H);
}

TEST(vector_is_that_of_where_it_comes_from)
{
    const uint64_t aarch32 = MAPPING_BIT(4);

    ck_assert_uint_eq(inject(DABT | 0x07, (struct s2_guest_state){.spsr = EL1T}).pc, VBAR);
    ck_assert_uint_eq(inject(DABT | 0x07, (struct s2_guest_state){.spsr = EL0T}).pc, VBAR + 0x400);
    ck_assert_uint_eq(inject(DABT | 0x07, (struct s2_guest_state){.spsr = aarch32}).pc,
                      VBAR + 0x600);
    ck_assert_uint_eq(inject(DABT | 0x07, (struct s2_guest_state){.spsr = EL0T}).esr_el1 >> 26,
                      0x24);
    ck_assert_uint_eq(inject(IABT | 0x07, (struct s2_guest_state){.spsr = EL0T}).esr_el1 >> 26,
                      0x20);
    ck_assert_uint_eq(inject(IABT | 0x07, (struct s2_guest_state){.spsr = EL1H}).esr_el1 >> 26,
                      0x21);
}

/* What stage 2 knew of the fault is none of the guest's business: no stage-2 code, no S1PTW, no
 * transfer. */
TEST(guest_learns_nothing_of_stage_2)
{
    const struct s2_guest_state guest = {.spsr = EL1H};

    ck_assert_uint_eq(inject(IABT | 0x0f | S1PTW, guest).esr_el1,
                      UINT64_C(0x21) << 26 | MAPPING_BIT(25) | 0x10);
    ck_assert_uint_eq(
        inject(DABT | 0x07 | FNV | CM | WNR | ISV | MAPPING_FIELD(23, 14), guest).esr_el1,
        UINT64_C(0x25) << 26 | MAPPING_BIT(25) | FNV | CM | WNR | 0x10);
    ck_assert_uint_eq(inject(DABT | 0x07 | FNV, guest).far_el1, 0);
}

/* D1.3.1: PAN, SSBS and TCO as SCTLR_EL1 and the CPU say; DIT stays, from where AArch32 has it. */
TEST(state_is_that_of_an_exception)
{
    const uint64_t dit = MAPPING_BIT(24), pan = MAPPING_BIT(22);
    const uint64_t dropped = MAPPING_BIT(23) | MAPPING_BIT(21) | MAPPING_BIT(20) | MAPPING_BIT(12) |
                             MAPPING_FIELD(11, 10);
    struct s2_guest_state guest = {.spsr = EL1H | dit | dropped, .sctlr_el1 = SPAN};

    ck_assert_uint_eq(inject(DABT | 0x07, guest).spsr, EL1H | DAIF | dit);
    guest.spsr = EL1H | pan;
    ck_assert_uint_eq(inject(DABT | 0x07, guest).spsr, EL1H | DAIF | pan);
    guest.spsr = EL1H;
    guest.sctlr_el1 = MAPPING_BIT(44);
    ck_assert_uint_eq(inject(DABT | 0x07, guest).spsr, EL1H | DAIF | pan | MAPPING_BIT(12));
    guest.sctlr_el1 = SPAN;
    guest.has_mte = true;
    ck_assert_uint_eq(inject(DABT | 0x07, guest).spsr, EL1H | DAIF | MAPPING_BIT(25));
    guest.has_mte = false;
    guest.spsr = MAPPING_BIT(4) | MAPPING_BIT(21); /* AArch32, with its DIT */
    ck_assert_uint_eq(inject(DABT | 0x07, guest).spsr, EL1H | DAIF | dit);
}

TEST(all_have_names)
{
    for (unsigned kind = 0; kind <= S2_FAULT_OTHER; kind++) {
        ck_assert_uint_gt(strlen(s2_fault_kind_name((enum s2_fault_kind)kind)), 0);
    }
    for (unsigned access = 0; access <= S2_ACCESS_CLEAN; access++) {
        ck_assert_uint_gt(strlen(s2_access_name((enum s2_access)access)), 0);
    }
}

TEST_DIES(injection_of_no_fault_dies)
{
    (void)inject(UINT64_C(0x16) << 26, (struct s2_guest_state){.spsr = EL1H});
}
