#include "tests/sim/trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define TRACE_FRAME_SHIFT 12 /* Casemate is built for 4K */

static void require(bool condition, const char *rule)
{
    if (!condition) {
        fprintf(stderr, "trace: %s\n", rule);
        abort();
    }
}

/* --- Records --------------------------------------------------------------------------------- */

/* "(@name (id N) (tid N) ... (src S))", where the middle is up to @format. */
static void record(struct trace *trace, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void record(struct trace *trace, const char *name, const char *format, ...)
{
    va_list arguments;

    fprintf(trace->out, "(%s (id %" PRIu64 ") (tid %zu) ", name, trace->next_id, sim_cpu_number());
    va_start(arguments, format);
    vfprintf(trace->out, format, arguments);
    va_end(arguments);
    fprintf(trace->out, " (src \"%s:%" PRIu64 "\"))\n", trace->step, trace->next_event);
    trace->next_id++;
}

static uint64_t pa_number(pa_t pa)
{
    return pa_distance(pa_of(0), pa);
}

static void record_frame(struct trace *trace, const char *name, pa_t frame)
{
    record(trace, name, "(address 0x%" PRIx64 ") (size 0x%x)", pa_number(frame),
           1U << TRACE_FRAME_SHIFT);
}

static void record_hint(struct trace *trace, const char *kind, pa_t location, uint64_t value)
{
    record(trace, "hint", "(kind %s) (location 0x%" PRIx64 ") (value 0x%" PRIx64 ")", kind,
           pa_number(location), value);
}

static void record_address(struct trace *trace, const char *name, uint64_t address)
{
    record(trace, name, "(address 0x%" PRIx64 ")", address);
}

/* --- Frames ---------------------------------------------------------------------------------- */

/* Whether Casemate knows the frame that holds @pa, to be read and set. */
static bool *known_at(const struct trace *trace, pa_t pa)
{
    for (size_t i = 0; i < trace->memory->bank_count; i++) {
        const struct frame_region *bank = &trace->memory->banks[i];
        const uint64_t size = (uint64_t)bank->frame_count << TRACE_FRAME_SHIFT;
        uint64_t offset;

        if (pa_span_offset(bank->base, size, pa, &offset)) {
            return &trace->known[i][offset >> TRACE_FRAME_SHIFT];
        }
    }
    require(false, "a frame that is in no bank");
    return NULL;
}

static void announce_frame(struct trace *trace, pa_t frame)
{
    const size_t cpu = sim_cpu_number();
    bool *known = known_at(trace, frame);

    if (!*known) {
        *known = true;
        record_frame(trace, "mem-init", frame);
        if (trace->has_lock[cpu]) {
            record_hint(trace, "set_owner_root", frame, pa_number(trace->roots[cpu]));
        }
    }
}

/* --- Events ---------------------------------------------------------------------------------- */

static void write_descriptor(struct trace *trace, const struct sim_event *event, const char *order)
{
    pa_t slot;

    if (!event->done) {
        return; /* the replace found something else, and wrote nothing */
    }
    require(sim_memory_pa(trace->memory, event->slot, &slot), "a descriptor outside the memory");
    announce_frame(trace, pa_align_down(slot, MAPPING_BIT(TRACE_FRAME_SHIFT)));
    record(trace, "mem-write", "(mem-order %s) (address 0x%" PRIx64 ") (value 0x%" PRIx64 ")",
           order, pa_number(slot), event->new);
}

/* How events of a kind are written; one that is not here is not. */
enum form {
    FORM_NONE,
    FORM_WRITE,    /* text: the memory order */
    FORM_BARRIER,  /* text: which */
    FORM_TLBI,     /* text: which; without an operand */
    FORM_TLBI_IPA, /* text: which; with one */
    FORM_REGISTER, /* text: its name */
    FORM_LOST,     /* Casemate does not know it */
};

static const struct {
    enum form form;
    const char *text;
} forms[SIM_KINDS] = {
    [SIM_FILL] = {FORM_WRITE, "plain"},
    [SIM_STORE] = {FORM_WRITE, "plain"},
    [SIM_PUBLISH] = {FORM_WRITE, "release"},
    [SIM_SWAP] = {FORM_WRITE, "plain"},
    [SIM_REPLACE] = {FORM_WRITE, "plain"},
    [SIM_DSB_ISH] = {FORM_BARRIER, "dsb (kind ish)"},
    [SIM_DSB_ISHST] = {FORM_BARRIER, "dsb (kind ishst)"},
    [SIM_DSB_NSH] = {FORM_BARRIER, "dsb (kind nsh)"},
    [SIM_ISB] = {FORM_BARRIER, "isb"},
    [SIM_TLBI_IPAS2E1IS] = {FORM_TLBI_IPA, "ipas2e1is"},
    [SIM_TLBI_RIPAS2E1IS] = {FORM_LOST, NULL},
    [SIM_TLBI_VMALLE1IS] = {FORM_TLBI, "vmalle1is"},
    [SIM_TLBI_VMALLS12E1IS] = {FORM_TLBI, "vmalls12e1is"},
    [SIM_TLBI_ALLE1IS] = {FORM_TLBI, "alle1is"},
    [SIM_TLBI_IPAS2E1] = {FORM_LOST, NULL},
    [SIM_TLBI_VMALLE1] = {FORM_TLBI, "vmalle1"},
    [SIM_TLBI_VMALLS12E1] = {FORM_TLBI, "vmalls12e1"},
    [SIM_TLBI_ALLE1] = {FORM_TLBI, "alle1"},
    [SIM_WRITE_VTCR] = {FORM_REGISTER, "vtcr_el2"},
    [SIM_WRITE_VTTBR] = {FORM_REGISTER, "vttbr_el2"},
    [SIM_WRITE_HCR] = {FORM_REGISTER, "hcr_el2"},
};

static void write_event(struct trace *trace, const struct sim_event *event)
{
    const char *text = forms[event->kind].text;

    switch (forms[event->kind].form) {
    case FORM_NONE:
        break;
    case FORM_WRITE:
        write_descriptor(trace, event, text);
        break;
    case FORM_BARRIER:
        record(trace, "barrier", "%s", text);
        break;
    case FORM_TLBI:
        record(trace, "tlbi", "%s", text);
        break;
    case FORM_TLBI_IPA:
        record(trace, "tlbi", "%s (value 0x%" PRIx64 ")", text, event->operand);
        break;
    case FORM_REGISTER:
        record(trace, "sysreg-write", "(sysreg %s) (value 0x%" PRIx64 ")", text, event->new);
        break;
    case FORM_LOST:
        trace->lost++;
        break;
    }
}

static void hear(void *arg, enum sim_phase phase, const struct sim_event *event)
{
    struct trace *trace = arg;

    if (phase == SIM_AFTER) {
        require(event->cpu < TRACE_CPUS, "Casemate knows four CPUs");
        trace->next_event = event->index;
        write_event(trace, event);
        trace->next_event++;
    }
}

/* --- The scenario ---------------------------------------------------------------------------- */

void trace_init(struct trace *trace, const struct sim_memory *memory, FILE *out)
{
    require(memory->frame_shift == TRACE_FRAME_SHIFT, "Casemate knows frames of 4K");
    *trace = (struct trace){.out = out, .memory = memory, .step = "start"};
    for (size_t i = 0; i < memory->bank_count; i++) {
        trace->known[i] = calloc(memory->banks[i].frame_count, sizeof(*trace->known[i]));
        require(trace->known[i] != NULL, "no memory for the frames that are known");
    }
    require(sim_listen(hear, trace), "too many listeners");
}

void trace_fini(struct trace *trace)
{
    (void)sim_unlisten(hear, trace);
    for (size_t i = 0; i < FRAME_POOL_MAX_REGIONS; i++) {
        free(trace->known[i]);
        trace->known[i] = NULL;
    }
}

void trace_step(struct trace *trace, const char *step)
{
    require(strpbrk(step, "\":\n") == NULL, "a step's name would end its own string");
    trace->step = step;
}

void trace_root(struct trace *trace, pa_t root, uint64_t lock)
{
    require(lock != 0, "Casemate takes 0 for no lock");
    announce_frame(trace, root);
    record_hint(trace, "set_root_lock", root, lock);
}

void trace_lock(struct trace *trace, pa_t root, uint64_t lock)
{
    trace->roots[sim_cpu_number()] = root;
    trace->has_lock[sim_cpu_number()] = true;
    record_address(trace, "lock", lock);
}

void trace_unlock(struct trace *trace, uint64_t lock)
{
    trace->has_lock[sim_cpu_number()] = false;
    record_address(trace, "unlock", lock);
}

void trace_release(struct trace *trace, pa_t root)
{
    record_hint(trace, "release_table", root, 0);
}

void trace_returned(struct trace *trace, const struct frame_pool *pool)
{
    for (size_t i = 0; i < trace->memory->bank_count; i++) {
        const struct frame_region *bank = &trace->memory->banks[i];

        for (size_t frame = 0; frame < bank->frame_count; frame++) {
            const pa_t pa = pa_add(bank->base, (uint64_t)frame << TRACE_FRAME_SHIFT);

            if (trace->known[i][frame] && !frame_pool_is_taken(pool, pa, 0)) {
                trace->known[i][frame] = false;
                record_frame(trace, "mem-free", pa);
            }
        }
    }
}

size_t trace_lost(const struct trace *trace)
{
    return trace->lost;
}
