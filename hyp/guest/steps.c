#include "hyp/guest/guest.h"
#include "hyp/machine/sysreg.h"

#define BYTES sizeof(uint64_t)
#define MOV_IMM16 MAPPING_FIELD(20, 5)

/* One load, one instruction: EL2 may pass over it, and then the answer is GUEST_SKIPPED. */
static uint64_t load(uint64_t va)
{
    uint64_t value = GUEST_SKIPPED;

    __asm__ volatile("ldr %0, [%1]" : "+r"(value) : "r"(va) : "memory");
    return value;
}

static void store(uint64_t va, uint64_t value)
{
    __asm__ volatile("str %0, [%1]" : : "r"(value), "r"(va) : "memory");
}

static uint64_t step_read(const uint64_t args[GUEST_ARGUMENTS])
{
    return load(args[0]);
}

static uint64_t step_write(const uint64_t args[GUEST_ARGUMENTS])
{
    store(args[0], args[1]);
    return 0;
}

static uint64_t step_read32(const uint64_t args[GUEST_ARGUMENTS])
{
    return *(volatile uint32_t *)args[0];
}

static uint64_t step_fill(const uint64_t args[GUEST_ARGUMENTS])
{
    for (uint64_t va = args[0]; va < args[0] + args[1]; va += BYTES) {
        *(volatile uint64_t *)va = guest_pattern(va, args[2]);
    }
    return 0;
}

static uint64_t step_verify(const uint64_t args[GUEST_ARGUMENTS])
{
    uint64_t wrong = 0;

    for (uint64_t va = args[0]; va < args[0] + args[1]; va += BYTES) {
        wrong += *(volatile uint64_t *)va != guest_pattern(va, args[2]);
    }
    return wrong;
}

/* Self-modifying code by the book: clean the data to the point of unification, then drop what the
 * instruction cache has. The function is 8 bytes at an 8-byte address: in one line of any cache. */
static uint64_t step_copy_code(const uint64_t args[GUEST_ARGUMENTS])
{
    volatile uint32_t *to = (volatile uint32_t *)args[0];

    for (const uint32_t *from = guest_template; from < guest_template_end; from++) {
        *to++ = *from;
    }
    to = (volatile uint32_t *)args[0];
    *to |= (uint32_t)MAPPING_FIELD_PREP(MOV_IMM16, args[1]);
    __asm__ volatile("dc cvau, %0\n\tdsb ish\n\tic ivau, %0\n\tdsb ish\n\tisb"
                     :
                     : "r"(args[0])
                     : "memory");
    return 0;
}

static uint64_t step_call(const uint64_t args[GUEST_ARGUMENTS])
{
    return ((uint64_t(*)(void))args[0])();
}

static uint64_t step_call_el0(const uint64_t args[GUEST_ARGUMENTS])
{
    return guest_call_el0(args[0]);
}

static uint64_t bytes_at(uint64_t va)
{
    uint64_t value = 0;

    for (uint64_t i = 0; i < BYTES; i++) {
        value |= (uint64_t)((volatile unsigned char *)va)[i] << 8 * i;
    }
    return value;
}

static uint64_t step_unaligned(const uint64_t args[GUEST_ARGUMENTS])
{
    uint64_t wrong = 0;

    for (uint64_t va = args[0] - BYTES + 1; va < args[0] + BYTES; va++) {
        uint64_t value = guest_pattern(va, args[1]);

        store(va, value);
        wrong += load(va) != value;
        wrong += bytes_at(va) != value;
    }
    return wrong;
}

static uint64_t step_exclusive(const uint64_t args[GUEST_ARGUMENTS])
{
    uint64_t sum;
    uint32_t failed;

    store(args[0], 0);
    for (uint64_t i = 0; i < args[1]; i++) {
        __asm__ volatile("1: ldxr %0, [%2]\n\tadd %0, %0, #1\n\tstxr %w1, %0, [%2]\n\tcbnz %w1, 1b"
                         : "=&r"(sum), "=&r"(failed)
                         : "r"(args[0])
                         : "memory");
    }
    return load(args[0]);
}

static uint64_t step_lse(const uint64_t args[GUEST_ARGUMENTS])
{
    store(args[0], 0);
    for (uint64_t i = 0; i < args[1]; i++) {
        __asm__ volatile(".arch_extension lse\n\tldaddal %0, xzr, [%1]"
                         :
                         : "r"(UINT64_C(1)), "r"(args[0])
                         : "memory");
    }
    return load(args[0]);
}

static uint64_t step_wait(const uint64_t args[GUEST_ARGUMENTS])
{
    (void)args;
    __asm__ volatile("msr daifclr, #2\n\twfi\n\tisb\n\tmsr daifset, #2" : : : "memory");
    return *(volatile uint64_t *)&guest_irq_count;
}

static uint64_t step_window(const uint64_t args[GUEST_ARGUMENTS])
{
    guest_stage1_window(args[0], args[1], args[2]);
    return 0;
}

static uint64_t step_table_entry(const uint64_t args[GUEST_ARGUMENTS])
{
    guest_stage1_table_entry(args[0], args[1]);
    return 0;
}

static uint64_t step_window_table(const uint64_t args[GUEST_ARGUMENTS])
{
    guest_stage1_window_table(args[0], args[1]);
    return 0;
}

static uint64_t step_use_asid(const uint64_t args[GUEST_ARGUMENTS])
{
    guest_stage1_use(args[0]);
    return 0;
}

static uint64_t step_own_tables(const uint64_t args[GUEST_ARGUMENTS])
{
    guest_stage1_own(args[0], args[1]);
    return 0;
}

static uint64_t step_state(const uint64_t args[GUEST_ARGUMENTS])
{
    (void)args;
    return read_sctlr_el1();
}

const guest_step_fn guest_steps[GUEST_STEP_COUNT] = {
    [GUEST_STEP_READ] = step_read,
    [GUEST_STEP_WRITE] = step_write,
    [GUEST_STEP_READ32] = step_read32,
    [GUEST_STEP_FILL] = step_fill,
    [GUEST_STEP_VERIFY] = step_verify,
    [GUEST_STEP_COPY_CODE] = step_copy_code,
    [GUEST_STEP_CALL] = step_call,
    [GUEST_STEP_CALL_EL0] = step_call_el0,
    [GUEST_STEP_UNALIGNED] = step_unaligned,
    [GUEST_STEP_EXCLUSIVE] = step_exclusive,
    [GUEST_STEP_LSE] = step_lse,
    [GUEST_STEP_WAIT] = step_wait,
    [GUEST_STEP_WINDOW] = step_window,
    [GUEST_STEP_TABLE_ENTRY] = step_table_entry,
    [GUEST_STEP_WINDOW_TABLE] = step_window_table,
    [GUEST_STEP_USE_ASID] = step_use_asid,
    [GUEST_STEP_OWN_TABLES] = step_own_tables,
    [GUEST_STEP_STATE] = step_state,
};
