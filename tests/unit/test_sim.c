/*
 * test_sim.c - the simulated machine: what every primitive leaves in the log and in the registers,
 * what listeners see and may do, and memory whose PA is not its pointer.
 */
#include "core/frame_pool.h"
#include "stage2/arch/arch.h"
#include "tests/sim/memory.h"
#include "tests/sim/sim.h"
#include "tests/unit/test.h"

#include <check.h>
#include <pthread.h>
#include <string.h>

#define SUITE "sim"

static s2_desc_t desc_of(uint64_t value)
{
    s2_desc_t desc;

    memcpy(&desc, &value, sizeof(desc));
    return desc;
}

static uint64_t value_of(s2_desc_t desc)
{
    uint64_t value;

    memcpy(&value, &desc, sizeof(value));
    return value;
}

static const struct sim_event *last_event(void)
{
    ck_assert_uint_ne(sim_event_total(), 0);
    return &sim_events()[sim_event_total() - 1];
}

/* --- Primitives ------------------------------------------------------------------------------ */

TEST(write_descriptor_logs_what_it_replaced)
{
    static void (*const writes[])(s2_desc_t *, s2_desc_t) = {arch_desc_fill, arch_desc_store,
                                                             arch_desc_publish};
    static const enum sim_kind kinds[] = {SIM_FILL, SIM_STORE, SIM_PUBLISH};
    s2_desc_t slot = desc_of(0x1111);

    sim_reset();
    for (size_t i = 0; i < COUNT(writes); i++) {
        uint64_t before = value_of(slot);

        writes[i](&slot, desc_of(0x2222 + i));
        ck_assert_uint_eq(value_of(slot), 0x2222 + i);
        ck_assert_int_eq(last_event()->kind, kinds[i]);
        ck_assert_ptr_eq(last_event()->slot, &slot);
        ck_assert_uint_eq(last_event()->old, before);
        ck_assert_uint_eq(last_event()->new, 0x2222 + i);
        ck_assert_uint_eq(last_event()->operand, 0);
        ck_assert_uint_eq(last_event()->index, i);
        ck_assert(last_event()->done);
    }
    ck_assert_uint_eq(sim_write_count(), 2);
    ck_assert_uint_eq(sim_change_count(), 2);
    ck_assert_uint_eq(sim_event_count(SIM_FILL), 1);
}

TEST(swap_descriptor_answers_the_old)
{
    s2_desc_t slot = desc_of(0x1111);

    sim_reset();
    ck_assert_uint_eq(value_of(arch_desc_swap(&slot, desc_of(0x2222))), 0x1111);
    ck_assert_uint_eq(value_of(slot), 0x2222);
    ck_assert_int_eq(last_event()->kind, SIM_SWAP);
    ck_assert_uint_eq(last_event()->old, 0x1111);
    ck_assert_uint_eq(last_event()->new, 0x2222);
}

TEST(replace_descriptor_acts_only_on_the_expected)
{
    s2_desc_t slot = desc_of(0x1111);
    s2_desc_t expected = desc_of(0x9999);

    sim_reset();
    ck_assert(!arch_desc_replace(&slot, &expected, desc_of(0x2222)));
    ck_assert_uint_eq(value_of(slot), 0x1111);
    ck_assert_uint_eq(value_of(expected), 0x1111);
    ck_assert(!last_event()->done);
    ck_assert_uint_eq(last_event()->operand, 0x9999);
    ck_assert_uint_eq(last_event()->old, 0x1111);
    ck_assert_uint_eq(last_event()->new, 0x2222);

    ck_assert(arch_desc_replace(&slot, &expected, desc_of(0x2222)));
    ck_assert_uint_eq(value_of(slot), 0x2222);
    ck_assert_uint_eq(value_of(expected), 0x1111);
    ck_assert(last_event()->done);
    ck_assert_uint_eq(last_event()->old, 0x1111);
    ck_assert_uint_eq(sim_event_count(SIM_REPLACE), 2);
}

TEST(load_descriptor_is_an_event_only_if_asked)
{
    s2_desc_t slot = desc_of(0x1111);

    sim_reset();
    ck_assert_uint_eq(value_of(arch_desc_load(&slot)), 0x1111);
    ck_assert_uint_eq(sim_event_total(), 0);
    sim_set_loads(SIM_LOADS_ON);
    ck_assert_uint_eq(value_of(arch_desc_load(&slot)), 0x1111);
    ck_assert_uint_eq(sim_event_count(SIM_LOAD), 1);
    ck_assert_ptr_eq(last_event()->slot, &slot);
    ck_assert(last_event()->old == 0x1111 && last_event()->new == 0x1111 && last_event()->done);
    ck_assert_uint_eq(sim_change_count(), 0);
    sim_set_loads(SIM_LOADS_OFF);
    (void)arch_desc_load(&slot);
    ck_assert_uint_eq(sim_event_count(SIM_LOAD), 1);
}

TEST(execute_barrier_or_tlbi_leaves_its_kind)
{
    static const struct {
        void (*call)(void);
        enum sim_kind kind;
    } plain[] = {
        {arch_dsb_ish, SIM_DSB_ISH},
        {arch_dsb_ishst, SIM_DSB_ISHST},
        {arch_dsb_nsh, SIM_DSB_NSH},
        {arch_isb, SIM_ISB},
        {arch_tlbi_vmalle1is, SIM_TLBI_VMALLE1IS},
        {arch_tlbi_vmalls12e1is, SIM_TLBI_VMALLS12E1IS},
        {arch_tlbi_alle1is, SIM_TLBI_ALLE1IS},
        {arch_tlbi_vmalle1, SIM_TLBI_VMALLE1},
        {arch_tlbi_vmalls12e1, SIM_TLBI_VMALLS12E1},
        {arch_tlbi_alle1, SIM_TLBI_ALLE1},
        {arch_ic_ialluis, SIM_IC_IALLUIS},
    };

    sim_reset();
    for (size_t i = 0; i < COUNT(plain); i++) {
        plain[i].call();
        ck_assert_int_eq(last_event()->kind, plain[i].kind);
        ck_assert_uint_eq(sim_event_count(plain[i].kind), 1);
        ck_assert_ptr_null(last_event()->slot);
        ck_assert(last_event()->operand == 0 && last_event()->done && !last_event()->is_nxs);
    }
    ck_assert_uint_eq(sim_event_total(), COUNT(plain));
    ck_assert_uint_eq(sim_tlbi_count(), 6);
    ck_assert_uint_eq(sim_write_count(), 0);
    ck_assert_uint_eq(sim_change_count(), COUNT(plain));
}

TEST(execute_with_operand_keeps_it)
{
    const int line = 0;

    sim_reset();
    arch_tlbi_ipas2e1is(0x0000100000012345);
    ck_assert_int_eq(last_event()->kind, SIM_TLBI_IPAS2E1IS);
    ck_assert_uint_eq(last_event()->operand, 0x0000100000012345);
    arch_tlbi_ripas2e1is(7);
    ck_assert_int_eq(last_event()->kind, SIM_TLBI_RIPAS2E1IS);
    ck_assert_uint_eq(last_event()->operand, 7);
    arch_tlbi_ipas2e1(8);
    ck_assert_int_eq(last_event()->kind, SIM_TLBI_IPAS2E1);
    ck_assert_uint_eq(last_event()->operand, 8);
    ck_assert_uint_eq(sim_tlbi_count(), 3);
    arch_dc_civac(&line);
    ck_assert_int_eq(last_event()->kind, SIM_DC_CIVAC);
    ck_assert_ptr_eq(last_event()->slot, &line);
    arch_dc_cvac(&line);
    ck_assert_int_eq(last_event()->kind, SIM_DC_CVAC);
    ck_assert_ptr_eq(last_event()->slot, &line);
}

TEST(execute_nxs_form_is_the_same_kind_and_says_so)
{
    sim_reset();
    arch_tlbi_vmalle1is_nxs();
    ck_assert(last_event()->kind == SIM_TLBI_VMALLE1IS && last_event()->is_nxs);
    arch_tlbi_vmalls12e1is_nxs();
    ck_assert(last_event()->kind == SIM_TLBI_VMALLS12E1IS && last_event()->is_nxs);
    arch_tlbi_ipas2e1is_nxs(7);
    ck_assert(last_event()->kind == SIM_TLBI_IPAS2E1IS && last_event()->is_nxs);
    ck_assert_uint_eq(last_event()->operand, 7);
    arch_tlbi_ripas2e1is_nxs(8);
    ck_assert(last_event()->kind == SIM_TLBI_RIPAS2E1IS && last_event()->is_nxs);
    ck_assert_uint_eq(last_event()->operand, 8);
    arch_tlbi_ipas2e1is(7);
    ck_assert(!last_event()->is_nxs);
    ck_assert_uint_eq(sim_tlbi_count(), 5);
}

/* --- Registers and CPUs ---------------------------------------------------------------------- */

TEST(write_register_changes_the_current_cpu_only)
{
    static const struct {
        uint64_t (*read)(void);
        void (*write)(uint64_t);
        enum sim_kind kind;
    } registers[] = {
        {arch_read_vtcr, arch_write_vtcr, SIM_WRITE_VTCR},
        {arch_read_vttbr, arch_write_vttbr, SIM_WRITE_VTTBR},
        {arch_read_hcr, arch_write_hcr, SIM_WRITE_HCR},
        {arch_read_tcr_el1, arch_write_tcr_el1, SIM_WRITE_TCR_EL1},
        {arch_read_sctlr_el1, arch_write_sctlr_el1, SIM_WRITE_SCTLR_EL1},
    };

    sim_reset();
    for (size_t i = 0; i < COUNT(registers); i++) {
        sim_set_cpu(3);
        registers[i].write(0x10 + i);
        registers[i].write(0x20 + i);
        ck_assert_int_eq(last_event()->kind, registers[i].kind);
        ck_assert(last_event()->old == 0x10 + i && last_event()->new == 0x20 + i);
        ck_assert_uint_eq(last_event()->operand, 0x20 + i);
        ck_assert_uint_eq(last_event()->cpu, 3);
        ck_assert_uint_eq(registers[i].read(), 0x20 + i);
        sim_set_cpu(0);
        ck_assert_uint_eq(registers[i].read(), 0);
    }
    ck_assert_uint_eq(sim_cpu_at(3)->vtcr, 0x20);
    ck_assert_uint_eq(sim_cpu_at(3)->vttbr, 0x21);
    ck_assert_uint_eq(sim_cpu_at(3)->hcr, 0x22);
    ck_assert_uint_eq(sim_cpu_at(3)->tcr_el1, 0x23);
    ck_assert_uint_eq(sim_cpu_at(3)->sctlr_el1, 0x24);
    ck_assert_ptr_eq(sim_cpu(), sim_cpu_at(0));
    ck_assert_uint_eq(sim_cpu_number(), 0);
}

/* What was in force as the instruction ran: a write of VTTBR_EL2 shows the one before. */
/* HCR_EL2.E2H. */
#define E2H (UINT64_C(1) << 34)

TEST(write_guest_register_under_e2h_has_another_name)
{
    sim_reset();
    sim_cpu()->hcr = E2H;
    arch_write_tcr_el12(5);
    arch_write_sctlr_el12(6);
    ck_assert_int_eq(last_event()->kind, SIM_WRITE_SCTLR_EL1);
    ck_assert(arch_read_tcr_el12() == 5 && arch_read_sctlr_el12() == 6);
    ck_assert(sim_cpu()->tcr_el1 == 5 && sim_cpu()->sctlr_el1 == 6);
}

/* Under E2H the usual names are the hypervisor's registers; without it there are no others. */
static const struct {
    uint64_t hcr;
    void (*write)(uint64_t);
} wrong_names[] = {
    {E2H, arch_write_tcr_el1},
    {E2H, arch_write_sctlr_el1},
    {0, arch_write_tcr_el12},
    {0, arch_write_sctlr_el12},
};

TEST_EACH_DIES(write_guest_register_by_the_wrong_name_dies, COUNT(wrong_names))
{
    sim_reset();
    sim_cpu()->hcr = wrong_names[_i].hcr;
    wrong_names[_i].write(1);
}

TEST(execute_tlbi_carries_the_registers_in_force)
{
    sim_reset();
    sim_cpu()->vtcr = 0x80023558;
    sim_cpu()->hcr = 1;
    arch_write_vttbr(0x0005000040000000);
    ck_assert_uint_eq(last_event()->vttbr, 0);
    arch_tlbi_vmalle1is();
    ck_assert_uint_eq(last_event()->vttbr, 0x0005000040000000);
    ck_assert_uint_eq(last_event()->vtcr, 0x80023558);
    ck_assert_uint_eq(last_event()->hcr, 1);
}

TEST(mask_interrupts_nests_through_the_saved_state)
{
    uint64_t outer;
    uint64_t inner;

    sim_reset();
    sim_cpu()->daif = 0x40;
    outer = arch_irq_mask();
    ck_assert_uint_eq(outer, 0x40);
    ck_assert_uint_eq(sim_cpu()->daif, SIM_DAIF_ALL);
    inner = arch_irq_mask();
    ck_assert_uint_eq(inner, SIM_DAIF_ALL);
    arch_irq_restore(inner);
    ck_assert_uint_eq(sim_cpu()->daif, SIM_DAIF_ALL);
    arch_irq_restore(outer);
    ck_assert_uint_eq(sim_cpu()->daif, 0x40);
    ck_assert_uint_eq(sim_event_count(SIM_IRQ_MASK), 2);
    ck_assert_uint_eq(sim_event_count(SIM_IRQ_RESTORE), 2);
    ck_assert_uint_eq(last_event()->operand, 0x40);
}

TEST_ABORTS(choose_absent_cpu_dies)
{
    sim_set_cpu(SIM_CPUS);
}

TEST_ABORTS(ask_for_absent_cpu_dies)
{
    (void)sim_cpu_at(SIM_CPUS);
}

/* --- The log --------------------------------------------------------------------------------- */

TEST(log_many_events_keeps_them_in_order)
{
    const uint64_t many = 300000;

    sim_reset();
    for (uint64_t i = 0; i < many; i++) {
        arch_tlbi_ipas2e1is(i);
    }
    ck_assert_uint_eq(sim_event_total(), many);
    for (uint64_t i = 0; i < many; i++) {
        ck_assert(sim_events()[i].operand == i && sim_events()[i].index == i);
    }
}

TEST(log_in_count_mode_keeps_nothing)
{
    sim_reset();
    arch_isb();
    sim_set_log(SIM_LOG_COUNT);
    arch_isb();
    arch_isb();
    ck_assert_uint_eq(sim_event_total(), 1);
    ck_assert_uint_eq(sim_event_count(SIM_ISB), 3);
    sim_set_log(SIM_LOG_KEEP);
    arch_isb();
    ck_assert_uint_eq(sim_event_total(), 2);
    ck_assert_uint_eq(sim_events()[1].index, 3);
}

TEST(clear_log_keeps_the_machine)
{
    sim_reset();
    sim_set_cpu(2);
    arch_write_vtcr(5);
    sim_clear();
    ck_assert_uint_eq(sim_event_total(), 0);
    ck_assert_uint_eq(sim_event_count(SIM_WRITE_VTCR), 0);
    ck_assert_uint_eq(sim_cpu_number(), 2);
    ck_assert_uint_eq(arch_read_vtcr(), 5);
    arch_isb();
    ck_assert_uint_eq(last_event()->index, 0);
}

static void count_event(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    (void)event;
    if (phase == SIM_AFTER) {
        ++*(size_t *)arg;
    }
}

TEST(reset_machine_forgets_all)
{
    s2_desc_t slot = desc_of(0);
    size_t heard = 0;

    sim_reset();
    sim_set_cpu(2);
    arch_write_vtcr(5);
    sim_set_loads(SIM_LOADS_ON);
    sim_set_log(SIM_LOG_COUNT);
    ck_assert(sim_listen(count_event, &heard));
    sim_reset();
    ck_assert_uint_eq(sim_cpu_number(), 0);
    ck_assert_uint_eq(sim_cpu_at(2)->vtcr, 0);
    (void)arch_desc_load(&slot);
    ck_assert_uint_eq(sim_event_total(), 0);
    arch_isb();
    ck_assert_uint_eq(sim_event_total(), 1);
    ck_assert_uint_eq(heard, 0);
}

TEST(find_event_searches_from_an_index)
{
    static const enum sim_kind flush[] = {SIM_DSB_ISH, SIM_TLBI_VMALLE1IS, SIM_DSB_ISH, SIM_ISB};

    sim_reset();
    arch_dsb_ish();
    arch_tlbi_vmalle1is();
    arch_dsb_ish();
    arch_isb();
    ck_assert_uint_eq(sim_find(SIM_DSB_ISH, 0), 0);
    ck_assert_uint_eq(sim_find(SIM_DSB_ISH, 1), 2);
    ck_assert(sim_find(SIM_DSB_ISH, 3) == SIM_NONE);
    ck_assert(sim_find(SIM_STORE, 0) == SIM_NONE);
    ck_assert(sim_matches(0, flush, 4));
    ck_assert(sim_matches(2, flush, 1));
    ck_assert(sim_matches(4, flush, 0));
    ck_assert(!sim_matches(0, flush, 5));
    ck_assert(!sim_matches(1, flush, 1));
    ck_assert(!sim_matches(3, flush, 2));
    ck_assert(!sim_matches(5, flush, 0));
}

TEST(name_every_kind_is_its_own)
{
    for (size_t i = 0; i < SIM_KINDS; i++) {
        ck_assert_ptr_nonnull(sim_kind_name((enum sim_kind)i));
        for (size_t k = 0; k < i; k++) {
            ck_assert_str_ne(sim_kind_name((enum sim_kind)i), sim_kind_name((enum sim_kind)k));
        }
    }
    ck_assert_str_eq(sim_kind_name(SIM_TLBI_RIPAS2E1IS), "TLBI_RIPAS2E1IS");
    ck_assert_str_eq(sim_kind_name(SIM_KINDS), "?");
}

TEST(dump_log_prints_one_line_an_event)
{
    FILE *file = tmpfile();
    char line[256];

    ck_assert_ptr_nonnull(file);
    sim_reset();
    arch_isb();
    arch_tlbi_ipas2e1is(0xabc);
    sim_dump(file);
    rewind(file);
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), file));
    ck_assert_ptr_nonnull(strstr(line, "ISB"));
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), file));
    ck_assert_ptr_nonnull(strstr(line, "TLBI_IPAS2E1IS"));
    ck_assert_ptr_nonnull(strstr(line, "0000000000000abc"));
    ck_assert_ptr_null(fgets(line, sizeof(line), file));
    fclose(file);
}

static void *work_elsewhere(void *arg)
{
    size_t *seen = arg;

    seen[0] = sim_cpu_number();
    arch_isb();
    seen[1] = sim_event_count(SIM_ISB);
    seen[2] = sim_event_total(); /* no sim_reset() in this thread: counted, not kept */
    return NULL;
}

TEST(work_in_another_thread_is_another_machine)
{
    pthread_t thread;
    size_t seen[3] = {9, 9, 9};
    size_t heard = 0;

    sim_reset();
    sim_set_cpu(4);
    ck_assert(sim_listen(count_event, &heard));
    ck_assert_int_eq(pthread_create(&thread, NULL, work_elsewhere, seen), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert(seen[0] == 0 && seen[1] == 1 && seen[2] == 0);
    ck_assert_uint_eq(sim_event_total(), 0);
    ck_assert_uint_eq(heard, 0);
}

/* --- Listeners ------------------------------------------------------------------------------- */

struct witness {
    s2_desc_t *slot;
    uint64_t seen[2]; /* in the slot, before and after */
    struct sim_event events[2];
    size_t logged[2]; /* length of the log */
    size_t calls;
};

static void watch(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    struct witness *witness = arg;

    witness->seen[phase] = value_of(*witness->slot);
    witness->events[phase] = *event;
    witness->logged[phase] = sim_event_total();
    witness->calls++;
}

TEST(listen_is_told_before_and_after_the_effect)
{
    s2_desc_t slot = desc_of(0x1111);
    struct witness witness = {.slot = &slot};

    sim_reset();
    ck_assert(sim_listen(watch, &witness));
    arch_desc_store(&slot, desc_of(0x2222));
    ck_assert_uint_eq(witness.calls, 2);
    ck_assert_uint_eq(witness.seen[SIM_BEFORE], 0x1111);
    ck_assert_uint_eq(witness.seen[SIM_AFTER], 0x2222);
    ck_assert(!witness.events[SIM_BEFORE].done && witness.events[SIM_AFTER].done);
    ck_assert_uint_eq(witness.events[SIM_BEFORE].old, 0x1111);
    ck_assert_uint_eq(witness.events[SIM_BEFORE].new, 0x2222);
    ck_assert(witness.logged[SIM_BEFORE] == 0 && witness.logged[SIM_AFTER] == 1);
}

/* Hardware that sets the Access flag just as software is about to act. */
static void set_access_flag(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    s2_desc_t *slot = arg;

    (void)event;
    if (phase == SIM_BEFORE) {
        *slot = desc_of(value_of(*slot) | 0x400);
    }
}

TEST(listen_moves_hardware_and_the_primitive_sees_it)
{
    s2_desc_t slot = desc_of(0x1);
    s2_desc_t expected = desc_of(0x1);
    struct witness witness = {.slot = &slot};

    sim_reset();
    sim_set_loads(SIM_LOADS_ON);
    ck_assert(sim_listen(set_access_flag, &slot));
    ck_assert(sim_listen(watch, &witness));
    ck_assert_uint_eq(value_of(arch_desc_load(&slot)), 0x401);
    ck_assert_uint_eq(last_event()->old, 0x401);

    slot = desc_of(0x1);
    ck_assert_uint_eq(value_of(arch_desc_swap(&slot, desc_of(0))), 0x401);
    ck_assert_uint_eq(witness.events[SIM_BEFORE].old, 0x1);
    ck_assert_uint_eq(witness.events[SIM_AFTER].old, 0x401);

    slot = desc_of(0x1);
    ck_assert(!arch_desc_replace(&slot, &expected, desc_of(0x2)));
    ck_assert_uint_eq(value_of(expected), 0x401);
    ck_assert(!witness.events[SIM_AFTER].done);
}

/* Another CPU that takes its turn before every store: it executes an ISB. */
static void let_another_cpu_run(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    (void)arg;
    if (phase == SIM_BEFORE && event->kind == SIM_STORE) {
        sim_set_cpu(1);
        arch_isb();
        sim_set_cpu(event->cpu);
    }
}

TEST(listen_may_run_another_cpu_in_between)
{
    static const enum sim_kind order[] = {SIM_ISB, SIM_STORE};
    s2_desc_t slot = desc_of(0);
    size_t heard = 0;

    sim_reset();
    ck_assert(sim_listen(let_another_cpu_run, NULL));
    ck_assert(sim_listen(count_event, &heard));
    arch_desc_store(&slot, desc_of(1));
    ck_assert_uint_eq(sim_event_total(), 2);
    ck_assert(sim_matches(0, order, 2));
    ck_assert_uint_eq(sim_events()[0].cpu, 1);
    ck_assert_uint_eq(sim_events()[1].cpu, 0);
    ck_assert_uint_eq(sim_events()[1].index, 1);
    ck_assert_uint_eq(heard, 2);
}

static void leave_another_cpu(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    (void)arg;
    (void)phase;
    (void)event;
    sim_set_cpu(1);
}

TEST_ABORTS(listen_that_leaves_another_cpu_behind_dies)
{
    sim_reset();
    ck_assert(sim_listen(leave_another_cpu, NULL));
    arch_isb();
}

static void listen_again(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    (void)phase;
    (void)event;
    (void)sim_listen(count_event, arg);
}

TEST_ABORTS(listen_that_changes_the_listeners_dies)
{
    size_t heard = 0;

    sim_reset();
    ck_assert(sim_listen(listen_again, &heard));
    arch_isb();
}

TEST(unlisten_stops_exactly_that_one)
{
    size_t heard[SIM_LISTENERS + 1] = {0};

    sim_reset();
    for (size_t i = 0; i < SIM_LISTENERS; i++) {
        ck_assert(sim_listen(count_event, &heard[i]));
    }
    ck_assert(!sim_listen(count_event, &heard[SIM_LISTENERS]));
    ck_assert(!sim_unlisten(count_event, &heard[SIM_LISTENERS]));
    ck_assert(!sim_unlisten(watch, &heard[2]));
    ck_assert(sim_unlisten(count_event, &heard[2]));
    ck_assert(!sim_unlisten(count_event, &heard[2]));
    arch_isb();
    for (size_t i = 0; i < SIM_LISTENERS; i++) {
        ck_assert_uint_eq(heard[i], i == 2 ? 0 : 1);
    }
    ck_assert(sim_listen(count_event, &heard[SIM_LISTENERS]));
}

/* --- Memory ---------------------------------------------------------------------------------- */

#define LOW UINT64_C(0x40000000)
#define HIGH UINT64_C(0x8800000000)
#define REMOTE UINT64_C(0x9000000000)

static struct sim_memory memory;

static void set_up_memory(void)
{
    sim_memory_init(&memory, 12);
    sim_memory_add(&memory, pa_of(LOW), 4);
    sim_memory_add(&memory, pa_of(HIGH), 3);
    sim_memory_add_remote(&memory, pa_of(REMOTE), 8);
}

static void tear_down_memory(void)
{
    sim_memory_fini(&memory);
}

#undef SETUP
#define SETUP set_up_memory
#undef TEARDOWN
#define TEARDOWN tear_down_memory

TEST(translate_memory_address_goes_both_ways)
{
    static const uint64_t inside[] = {LOW, LOW + 0x3fff, HIGH, HIGH + 0x2fff};
    static const uint64_t outside[] = {0,      LOW - 1,         LOW + 0x4000,  HIGH - 1,
                                       REMOTE, REMOTE + 0x7fff, HIGH + 0x3000, UINT64_MAX};
    pa_t pa = pa_of(7);

    for (size_t i = 0; i < COUNT(inside); i++) {
        void *ptr = sim_memory_ptr(&memory, pa_of(inside[i]));

        ck_assert_ptr_nonnull(ptr);
        ck_assert((uint64_t)(uintptr_t)ptr != inside[i]);
        ck_assert(sim_memory_pa(&memory, ptr, &pa));
        ck_assert(pa_eq(pa, pa_of(inside[i])));
    }
    for (size_t i = 0; i < COUNT(outside); i++) {
        ck_assert_ptr_null(sim_memory_ptr(&memory, pa_of(outside[i])));
    }
    pa = pa_of(7);
    ck_assert(!sim_memory_pa(&memory, &pa, &pa));
    ck_assert(!sim_memory_pa(&memory, NULL, &pa));
    ck_assert(pa_eq(pa, pa_of(7)));
}

TEST(read_memory_answers_aligned_words_that_are_there)
{
    uint64_t *word = sim_memory_ptr(&memory, pa_of(HIGH + 8));
    uint64_t value = 7;

    *word = 0x1234;
    ck_assert(sim_memory_read(&memory, HIGH + 8, &value));
    ck_assert_uint_eq(value, 0x1234);
    value = 7;
    ck_assert(!sim_memory_read(&memory, HIGH + 12, &value));
    ck_assert(!sim_memory_read(&memory, REMOTE, &value));
    ck_assert(!sim_memory_read(&memory, LOW - 8, &value));
    ck_assert_uint_eq(value, 7);
}

TEST(poison_memory_marks_exactly_that)
{
    uint64_t *words = sim_memory_ptr(&memory, pa_of(LOW));

    ck_assert(sim_memory_is_poison(&memory, pa_of(LOW), 0x4000));
    words[0] = 1;
    words[511] = 2;
    words[512] = 3;
    ck_assert(!sim_memory_is_poison(&memory, pa_of(LOW), 8));
    ck_assert(sim_memory_is_poison(&memory, pa_of(LOW + 8), 0xff0));
    ck_assert(!sim_memory_is_poison(&memory, pa_of(LOW + 8), 0xff8));
    sim_memory_poison(&memory, pa_of(LOW), 0x1000);
    ck_assert(sim_memory_is_poison(&memory, pa_of(LOW), 0x1000));
    ck_assert_uint_eq(words[512], 3);
}

TEST_ABORTS(poison_memory_across_banks_dies)
{
    sim_memory_poison(&memory, pa_of(LOW + 0x3000), 0x1008);
}

TEST(poison_free_spares_what_is_taken)
{
    struct frame_pool pool;
    pa_t single = pa_of(0);
    pa_t pair = pa_of(0);

    sim_memory_pool(&memory, &pool);
    ck_assert_uint_eq(frame_pool_available(&pool), 15);
    do {
        ck_assert_int_eq(frame_pool_alloc(&pool, 1, &pair), MAPPING_OK);
    } while (sim_memory_ptr(&memory, pair) == NULL);
    do {
        ck_assert_int_eq(frame_pool_alloc(&pool, 0, &single), MAPPING_OK);
    } while (sim_memory_ptr(&memory, single) == NULL);
    memset(sim_memory_ptr(&memory, pa_of(LOW)), 0, 0x4000);
    memset(sim_memory_ptr(&memory, pa_of(HIGH)), 0, 0x3000);
    sim_memory_poison_free(&memory, &pool);
    for (uint64_t i = 0; i < 7; i++) {
        pa_t frame = pa_of(i < 4 ? LOW + i * 0x1000 : HIGH + (i - 4) * 0x1000);
        bool taken =
            pa_eq(frame, single) || pa_eq(frame, pair) || pa_eq(frame, pa_add(pair, 0x1000));

        ck_assert(sim_memory_is_poison(&memory, frame, 0x1000) == !taken);
        ck_assert(sim_memory_is_poison(&memory, frame, 8) == !taken);
    }
}
