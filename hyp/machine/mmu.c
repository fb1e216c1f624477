#include "hyp/machine/mmu.h"

#include "hyp/machine/fdt.h"
#include "hyp/machine/image.h"
#include "hyp/machine/sysreg.h"

#include <stdbool.h>
#include <stdint.h>

/*
 *      l1[0]     0..1 GiB      one block, devices
 *      l1[1..4]  1..5 GiB      an L2 table each: 2 MiB blocks where there is RAM, else nothing
 *
 * 39 bits of input, so level 1 is the root and holds 1 GiB an entry.
 */
#define VA_BITS 39
#define L1_SIZE MAPPING_BIT(30)
#define L2_SIZE MMU_RAM_BLOCK
#define ENTRIES 512
#define RAM_TABLES (MMU_RAM_END / L1_SIZE - 1)

#define DESC_VALID MAPPING_BIT(0)
#define DESC_TABLE MAPPING_BIT(1)
#define DESC_ATTR_INDEX MAPPING_FIELD(4, 2)
#define DESC_AP1_RES1 MAPPING_BIT(6) /* EL2's regime has one privilege: AP[1] is RES1 */
#define DESC_READ_ONLY MAPPING_BIT(7)
#define DESC_SH MAPPING_FIELD(9, 8)
#define DESC_AF MAPPING_BIT(10)
#define DESC_XN MAPPING_BIT(54)
#define DESC_BLOCK \
    (DESC_VALID | DESC_AP1_RES1 | DESC_AF | MAPPING_FIELD_PREP(DESC_SH, TCR_SH_INNER))

#define ATTR_DEVICE 0
#define ATTR_NORMAL 1

static uint64_t l1[ENTRIES] __attribute__((aligned(4096)));
static uint64_t l2[RAM_TABLES][ENTRIES] __attribute__((aligned(4096)));

static uint64_t ram_block(uint64_t address)
{
    bool is_text = address >= (uintptr_t)__text_start && address < (uintptr_t)__data_start;

    return address | DESC_BLOCK | MAPPING_FIELD_PREP(DESC_ATTR_INDEX, ATTR_NORMAL) |
           (is_text ? DESC_READ_ONLY : DESC_XN);
}

static void map_ram(struct fdt_memory ram)
{
    uint64_t end = mapping_u64_min(ram.start + ram.size, MMU_RAM_END);

    for (uint64_t at = ram.start; at + L2_SIZE <= end; at += L2_SIZE) {
        l2[at / L1_SIZE - 1][at % L1_SIZE / L2_SIZE] = ram_block(at);
    }
}

static void build_tables(void)
{
    l1[0] = DESC_BLOCK | DESC_XN | MAPPING_FIELD_PREP(DESC_ATTR_INDEX, ATTR_DEVICE);
    for (unsigned i = 0; i < RAM_TABLES; i++) {
        l1[i + 1] = (uintptr_t)l2[i] | DESC_TABLE | DESC_VALID;
    }
    map_ram(fdt_memory());
}

void mmu_enable(void)
{
    uint64_t pa_range =
        mapping_u64_min(MAPPING_FIELD_GET(MMFR0_PARANGE, read_id_aa64mmfr0_el1()), PARANGE_48);

    build_tables();
    write_mair_el2(MAPPING_FIELD_PREP(MAPPING_FIELD(7, 0), MAIR_DEVICE_nGnRE) |
                   MAPPING_FIELD_PREP(MAPPING_FIELD(15, 8), MAIR_NORMAL_WB));
    write_tcr_el2(TCR_EL2_RES1 | MAPPING_FIELD_PREP(TCR_EL2_T0SZ, 64 - VA_BITS) |
                  MAPPING_FIELD_PREP(TCR_EL2_IRGN0, TCR_RGN_WB) |
                  MAPPING_FIELD_PREP(TCR_EL2_ORGN0, TCR_RGN_WB) |
                  MAPPING_FIELD_PREP(TCR_EL2_SH0, TCR_SH_INNER) |
                  MAPPING_FIELD_PREP(TCR_EL2_PS, pa_range));
    write_ttbr0_el2((uintptr_t)l1);
    /* Whatever the firmware left in the TLB goes; the tables are stored before anyone walks
     * them. */
    __asm__ volatile("dsb nshst\n\ttlbi alle2\n\tic iallu\n\tdsb nsh\n\tisb" : : : "memory");
    write_sctlr_el2(SCTLR_EL2_RES1 | SCTLR_M | SCTLR_C | SCTLR_I | SCTLR_SA | SCTLR_WXN);
    isb();
}
