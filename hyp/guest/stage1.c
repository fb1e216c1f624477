#include "hyp/guest/guest.h"
#include "hyp/machine/sysreg.h"

/*
 * The guest's stage 1: 4K granule, 39 bits, so the root is level 1 and holds 1 GiB an entry.
 *
 *      root[asid]   0          identity, devices             block
 *                   1..511     identity, Normal, RWX         blocks, but for
 *                   image GiB  -> image_l2 -> image_l3       code RO, data never executed
 *                   window GiB -> window_l2[asid] -> window_l3[asid]      not global
 */
#define VA_BITS 39
#define ENTRIES 512
#define L1_SIZE MAPPING_BIT(30)
#define L2_SIZE MAPPING_BIT(21)
#define L3_SIZE MAPPING_BIT(12)

#define DESC_VALID MAPPING_BIT(0)
#define DESC_TABLE MAPPING_BIT(1) /* at level 3: a page */
#define DESC_ATTR_INDEX MAPPING_FIELD(4, 2)
#define DESC_READ_ONLY MAPPING_BIT(7)
#define DESC_SH MAPPING_FIELD(9, 8)
#define DESC_AF MAPPING_BIT(10)
#define DESC_NG MAPPING_BIT(11)
#define DESC_PXN MAPPING_BIT(53)
#define DESC_UXN MAPPING_BIT(54)
#define DESC_XN (DESC_PXN | DESC_UXN)

#define ATTR_NORMAL 0
#define ATTR_DEVICE 1
#define NORMAL                                                                 \
    (DESC_VALID | DESC_AF | MAPPING_FIELD_PREP(DESC_ATTR_INDEX, ATTR_NORMAL) | \
     MAPPING_FIELD_PREP(DESC_SH, TCR_SH_INNER))
#define DEVICE (DESC_VALID | DESC_AF | DESC_XN | MAPPING_FIELD_PREP(DESC_ATTR_INDEX, ATTR_DEVICE))

#define TTBR_ASID MAPPING_FIELD(63, 48)
#define TLBI_ASID MAPPING_FIELD(63, 48)
#define TLBI_VA MAPPING_FIELD(43, 0)

#define TCR_EL1_T0SZ MAPPING_FIELD(5, 0)
#define TCR_EL1_IRGN0 MAPPING_FIELD(9, 8)
#define TCR_EL1_ORGN0 MAPPING_FIELD(11, 10)
#define TCR_EL1_SH0 MAPPING_FIELD(13, 12)
#define TCR_EL1_IPS MAPPING_FIELD(34, 32)

typedef uint64_t table[ENTRIES] __attribute__((aligned(4096)));

static table root[GUEST_ASIDS];
static table image_l2, image_l3;
static table window_l2[GUEST_ASIDS], window_l3[GUEST_ASIDS];

extern const unsigned char __guest_data_start[]; /* linker/hyp.ld */

static uint64_t to_table(const uint64_t *next)
{
    return (uintptr_t)next | DESC_TABLE | DESC_VALID;
}

static void build_image(void)
{
    for (uint64_t i = 0; i < ENTRIES; i++) {
        uint64_t page = GUEST_IMAGE_IPA + i * L3_SIZE;

        image_l2[i] = (GUEST_IMAGE_IPA + i * L2_SIZE) | NORMAL;
        image_l3[i] = page | NORMAL | DESC_TABLE |
                      (page < (uintptr_t)__guest_data_start ? DESC_READ_ONLY : DESC_XN);
    }
    image_l2[0] = to_table(image_l3);
}

static void build_root(unsigned space)
{
    root[space][0] = DEVICE;
    for (uint64_t i = 1; i < ENTRIES; i++) {
        root[space][i] = i * L1_SIZE | NORMAL;
    }
    root[space][GUEST_IMAGE_IPA / L1_SIZE] = to_table(image_l2);
    root[space][GUEST_WINDOW_VA / L1_SIZE] = to_table(window_l2[space]);
    window_l2[space][0] = to_table(window_l3[space]);
}

static uint64_t ttbr_of(uint64_t asid)
{
    return MAPPING_FIELD_PREP(TTBR_ASID, asid) | (uintptr_t)root[asid - 1];
}

void guest_stage1_on(void)
{
    uint64_t pa_range =
        mapping_u64_min(MAPPING_FIELD_GET(MMFR0_PARANGE, read_id_aa64mmfr0_el1()), PARANGE_48);

    build_image();
    for (unsigned space = 0; space < GUEST_ASIDS; space++) {
        build_root(space);
    }
    write_mair_el1(MAPPING_FIELD_PREP(MAPPING_FIELD(7, 0), MAIR_NORMAL_WB) |
                   MAPPING_FIELD_PREP(MAPPING_FIELD(15, 8), MAIR_DEVICE_nGnRE));
    write_tcr_el1(MAPPING_FIELD_PREP(TCR_EL1_T0SZ, 64 - VA_BITS) | TCR_EL1_EPD1 |
                  MAPPING_FIELD_PREP(TCR_EL1_IRGN0, TCR_RGN_WB) |
                  MAPPING_FIELD_PREP(TCR_EL1_ORGN0, TCR_RGN_WB) |
                  MAPPING_FIELD_PREP(TCR_EL1_SH0, TCR_SH_INNER) |
                  MAPPING_FIELD_PREP(TCR_EL1_IPS, pa_range));
    write_ttbr0_el1(ttbr_of(1));
    __asm__ volatile("dsb ishst\n\ttlbi vmalle1\n\tic iallu\n\tdsb nsh\n\tisb" : : : "memory");
    write_sctlr_el1(SCTLR_EL1_RESET | SCTLR_M | SCTLR_C | SCTLR_I);
    isb();
}

void guest_stage1_use(uint64_t asid)
{
    write_ttbr0_el1(ttbr_of(asid));
    isb();
}

/* What this CPU has of @asid is of the tables that it had before. */
void guest_stage1_own(uint64_t asid, uint64_t space)
{
    write_ttbr0_el1(MAPPING_FIELD_PREP(TTBR_ASID, asid) | (uintptr_t)root[space - 1]);
    isb();
    __asm__ volatile("tlbi vmalle1\n\tdsb nsh" : : : "memory");
    isb();
}

/* The entry may be live: break, invalidate, make. */
void guest_stage1_window(uint64_t asid, uint64_t page, uint64_t ipa)
{
    volatile uint64_t *entry = &window_l3[asid - 1][page];
    uint64_t va = GUEST_WINDOW_VA + page * L3_SIZE;
    uint64_t operand =
        MAPPING_FIELD_PREP(TLBI_ASID, asid) | MAPPING_FIELD_PREP(TLBI_VA, va / L3_SIZE);

    *entry = 0;
    __asm__ volatile("dsb ishst\n\ttlbi vae1is, %0\n\tdsb ish" : : "r"(operand) : "memory");
    *entry = ipa | NORMAL | DESC_TABLE | DESC_NG;
    __asm__ volatile("dsb ishst\n\tisb" : : : "memory");
}

/* These are made once, from entries that never were valid: nothing to invalidate. */
void guest_stage1_table_entry(uint64_t va, uint64_t ipa)
{
    *(volatile uint64_t *)va = ipa | NORMAL | DESC_TABLE | DESC_NG;
    __asm__ volatile("dsb ishst\n\tisb" : : : "memory");
}

void guest_stage1_window_table(uint64_t n, uint64_t ipa)
{
    for (unsigned space = 0; space < GUEST_ASIDS; space++) {
        *(volatile uint64_t *)&window_l2[space][n] = ipa | DESC_TABLE | DESC_VALID;
    }
    __asm__ volatile("dsb ishst\n\tisb" : : : "memory");
}
