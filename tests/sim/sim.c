#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdlib.h>

struct listener {
    sim_listener_fn fn;
    void *arg;
    bool running; /* being told of an event: not told of those it causes itself */
};

/* One thread's machine. Zero-initialised it is valid, and counts only. */
struct machine {
    struct sim_event *events;
    size_t event_total;
    size_t event_capacity;
    size_t counts[SIM_KINDS];
    uint64_t next_index;
    bool keep;
    bool loads;
    struct listener listeners[SIM_LISTENERS];
    size_t listener_count;
    sim_swallow_fn swallow;
    void *swallow_arg;
    struct sim_cpu cpus[SIM_CPUS];
    size_t cpu;
};

static _Thread_local struct machine machine;

/* The simulator has no one to report to: a test that breaks its rules ends here. */
static void require(bool condition, const char *rule)
{
    if (!condition) {
        fprintf(stderr, "sim: %s\n", rule);
        abort();
    }
}

static bool any_listener_runs(void)
{
    for (size_t i = 0; i < machine.listener_count; i++) {
        if (machine.listeners[i].running) {
            return true;
        }
    }
    return false;
}

void sim_clear(void)
{
    require(!any_listener_runs(), "the log was cleared by a listener");
    machine.event_total = 0;
    machine.next_index = 0;
    for (size_t i = 0; i < SIM_KINDS; i++) {
        machine.counts[i] = 0;
    }
}

void sim_reset(void)
{
    sim_clear();
    machine.keep = true;
    machine.loads = false;
    machine.listener_count = 0;
    machine.swallow = NULL;
    machine.cpu = 0;
    for (size_t i = 0; i < SIM_CPUS; i++) {
        machine.cpus[i] = (struct sim_cpu){0};
    }
}

void sim_set_log(enum sim_log mode)
{
    machine.keep = mode == SIM_LOG_KEEP;
}

void sim_set_loads(enum sim_loads mode)
{
    machine.loads = mode == SIM_LOADS_ON;
}

bool sim_listen(sim_listener_fn fn, void *arg)
{
    require(!any_listener_runs(), "a listener changed the listeners");
    if (machine.listener_count == SIM_LISTENERS) {
        return false;
    }
    machine.listeners[machine.listener_count] = (struct listener){fn, arg, false};
    machine.listener_count++;
    return true;
}

bool sim_unlisten(sim_listener_fn fn, const void *arg)
{
    size_t i = 0;

    require(!any_listener_runs(), "a listener changed the listeners");
    while (i < machine.listener_count &&
           (machine.listeners[i].fn != fn || machine.listeners[i].arg != arg)) {
        i++;
    }
    if (i == machine.listener_count) {
        return false;
    }
    machine.listener_count--;
    for (; i < machine.listener_count; i++) {
        machine.listeners[i] = machine.listeners[i + 1];
    }
    return true;
}

void sim_set_swallow(sim_swallow_fn fn, void *arg)
{
    machine.swallow = fn;
    machine.swallow_arg = arg;
}

const struct sim_event *sim_events(void)
{
    return machine.events;
}

size_t sim_event_total(void)
{
    return machine.event_total;
}

size_t sim_event_count(enum sim_kind kind)
{
    require((size_t)kind < SIM_KINDS, "a count of no kind was asked");
    return machine.counts[kind];
}

/* Both ends belong to it. */
static size_t count_between(enum sim_kind first, enum sim_kind last)
{
    size_t sum = 0;

    for (size_t kind = (size_t)first; kind <= (size_t)last; kind++) {
        sum += machine.counts[kind];
    }
    return sum;
}

size_t sim_write_count(void)
{
    return count_between(SIM_STORE, SIM_REPLACE);
}

size_t sim_tlbi_count(void)
{
    return count_between(SIM_TLBI_IPAS2E1IS, SIM_TLBI_ALLE1);
}

size_t sim_change_count(void)
{
    return count_between(SIM_STORE, SIM_IRQ_RESTORE);
}

size_t sim_find(enum sim_kind kind, size_t from)
{
    for (size_t i = from; i < machine.event_total; i++) {
        if (machine.events[i].kind == kind) {
            return i;
        }
    }
    return SIM_NONE;
}

bool sim_matches(size_t from, const enum sim_kind kinds[], size_t count)
{
    if (from > machine.event_total || count > machine.event_total - from) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (machine.events[from + i].kind != kinds[i]) {
            return false;
        }
    }
    return true;
}

const char *sim_kind_name(enum sim_kind kind)
{
    static const char *const names[SIM_KINDS] = {
        [SIM_LOAD] = "LOAD",
        [SIM_FILL] = "FILL",
        [SIM_STORE] = "STORE",
        [SIM_PUBLISH] = "PUBLISH",
        [SIM_SWAP] = "SWAP",
        [SIM_REPLACE] = "REPLACE",
        [SIM_DSB_ISH] = "DSB_ISH",
        [SIM_DSB_ISHST] = "DSB_ISHST",
        [SIM_DSB_NSH] = "DSB_NSH",
        [SIM_ISB] = "ISB",
        [SIM_TLBI_IPAS2E1IS] = "TLBI_IPAS2E1IS",
        [SIM_TLBI_RIPAS2E1IS] = "TLBI_RIPAS2E1IS",
        [SIM_TLBI_VMALLE1IS] = "TLBI_VMALLE1IS",
        [SIM_TLBI_VMALLS12E1IS] = "TLBI_VMALLS12E1IS",
        [SIM_TLBI_ALLE1IS] = "TLBI_ALLE1IS",
        [SIM_TLBI_IPAS2E1] = "TLBI_IPAS2E1",
        [SIM_TLBI_VMALLE1] = "TLBI_VMALLE1",
        [SIM_TLBI_VMALLS12E1] = "TLBI_VMALLS12E1",
        [SIM_TLBI_ALLE1] = "TLBI_ALLE1",
        [SIM_DC_CIVAC] = "DC_CIVAC",
        [SIM_DC_CVAC] = "DC_CVAC",
        [SIM_IC_IALLUIS] = "IC_IALLUIS",
        [SIM_WRITE_VTCR] = "WRITE_VTCR",
        [SIM_WRITE_VTTBR] = "WRITE_VTTBR",
        [SIM_WRITE_HCR] = "WRITE_HCR",
        [SIM_WRITE_TCR_EL1] = "WRITE_TCR_EL1",
        [SIM_WRITE_SCTLR_EL1] = "WRITE_SCTLR_EL1",
        [SIM_IRQ_MASK] = "IRQ_MASK",
        [SIM_IRQ_RESTORE] = "IRQ_RESTORE",
    };

    return (size_t)kind < SIM_KINDS ? names[kind] : "?";
}

void sim_dump(FILE *out)
{
    for (size_t i = 0; i < machine.event_total; i++) {
        const struct sim_event *event = &machine.events[i];

        fprintf(out,
                "%6" PRIu64 " cpu%zu %-17s operand %016" PRIx64 " %016" PRIx64 " -> %016" PRIx64
                " slot %p vttbr %016" PRIx64 "%s\n",
                event->index, event->cpu, sim_kind_name(event->kind), event->operand, event->old,
                event->new, event->slot, event->vttbr, event->done ? "" : " (refused)");
    }
}

void sim_set_cpu(size_t cpu)
{
    require(cpu < SIM_CPUS, "there is no such CPU");
    machine.cpu = cpu;
}

size_t sim_cpu_number(void)
{
    return machine.cpu;
}

struct sim_cpu *sim_cpu(void)
{
    return &machine.cpus[machine.cpu];
}

struct sim_cpu *sim_cpu_at(size_t cpu)
{
    require(cpu < SIM_CPUS, "there is no such CPU");
    return &machine.cpus[cpu];
}

static void tell(enum sim_phase phase, const struct sim_event *event)
{
    for (size_t i = 0; i < machine.listener_count; i++) {
        struct listener *listener = &machine.listeners[i];

        if (!listener->running) {
            listener->running = true;
            listener->fn(listener->arg, phase, event);
            listener->running = false;
        }
    }
    require(machine.cpu == event->cpu, "a listener left another CPU behind");
}

static void append(const struct sim_event *event)
{
    if (machine.event_total == machine.event_capacity) {
        size_t capacity = machine.event_capacity == 0 ? 1024 : machine.event_capacity * 2;
        struct sim_event *events = realloc(machine.events, capacity * sizeof(*events));

        require(events != NULL, "no memory for the log");
        machine.events = events;
        machine.event_capacity = capacity;
    }
    machine.events[machine.event_total] = *event;
    machine.event_total++;
}

static bool is_swallowed(const struct sim_event *event)
{
    return machine.swallow != NULL && event->kind != SIM_LOAD &&
           machine.swallow(machine.swallow_arg, event);
}

bool sim_begin(struct sim_event *event)
{
    const struct sim_cpu *cpu = sim_cpu();

    event->done = false;
    event->cpu = machine.cpu;
    event->index = machine.next_index;
    event->vtcr = cpu->vtcr;
    event->vttbr = cpu->vttbr;
    event->hcr = cpu->hcr;
    if (is_swallowed(event)) {
        return false;
    }
    if (machine.listener_count != 0) {
        tell(SIM_BEFORE, event);
    }
    return true;
}

void sim_end(struct sim_event *event)
{
    /* What listeners did BEFORE stands in the log ahead of this event. */
    event->index = machine.next_index;
    machine.next_index++;
    machine.counts[event->kind]++;
    if (machine.keep) {
        append(event);
    }
    if (machine.listener_count != 0) {
        tell(SIM_AFTER, event);
    }
}

bool sim_loads_are_events(void)
{
    return machine.loads;
}
