#include "hyp/vm/guest.h"

#include "hyp/machine/image.h"
#include "hyp/machine/panic.h"
#include "hyp/machine/print.h"
#include "hyp/machine/string.h"
#include "hyp/machine/sysreg.h"
#include "hyp/vm/bare.h"

#define FRAME_SIZE MAPPING_BIT(MACHINE_FRAME_SHIFT)
#define TEXT_MAX 128
#define MENDED_MAX 16 /* aborts of one step that fill nothing: beyond that, something is wrong */

/* Which of x0..x3 hold what in a call (hyp/guest/abi.h). */
enum { CALL_NUMBER = 0, CALL_ARGUMENT = 1 };
#define LINK_REGISTER 30

static unsigned order_of(uint64_t size)
{
    unsigned order = 0;

    while (MAPPING_BIT(MACHINE_FRAME_SHIFT + order) < size) {
        order++;
    }
    return order;
}

void *guest_frame(pa_t pa)
{
    void *bytes = frame_pool_ptr(&machine.guests, pa);

    if (bytes == NULL) {
        panic("a guest's RAM is none of its pool");
    }
    return bytes;
}

pa_t guest_take_block(struct guest *guest, uint64_t size)
{
    struct guest_block *block = &guest->blocks[guest->block_count];

    if (guest->block_count == GUEST_BLOCKS) {
        panic("a guest has too many blocks");
    }
    block->order = order_of(size);
    if (frame_pool_alloc_zeroed(&machine.guests, block->order, &block->pa) != MAPPING_OK) {
        panic("no frames for a guest");
    }
    guest->block_count++;
    return block->pa;
}

bool guest_has_block(uint64_t size)
{
    pa_t pa;

    return frame_pool_alloc(&machine.guests, order_of(size), &pa) == MAPPING_OK &&
           frame_pool_free(&machine.guests, pa, order_of(size)) == MAPPING_OK;
}

pa_t guest_add_ram(struct guest *guest, struct ipa_range range, mapping_flags_t flags)
{
    pa_t pa = guest_take_block(guest, range.size);

    if (s2_space_map_linear(&guest->space, range, pa, flags) != MAPPING_OK) {
        panic("RAM of a guest cannot be mapped");
    }
    return pa;
}

/* The program is copied before it is mapped, so that the library's cache maintenance at the time
 * of mapping covers it: the guest starts with its caches off. */
static void add_image(struct guest *guest)
{
    pa_t pa = guest_take_block(guest, GUEST_IMAGE_SIZE);

    memcpy(guest_frame(pa), __guest_load_start, (size_t)(__guest_load_end - __guest_load_start));
    bare_put_program(guest_frame(pa_add(pa, GUEST_BARE_OFFSET)));
    if (s2_space_map_linear(&guest->space, ipa_range(GUEST_IMAGE_IPA, GUEST_IMAGE_SIZE), pa,
                            S2_READ | S2_WRITE | S2_EXEC) != MAPPING_OK) {
        panic("a guest's image cannot be mapped");
    }
}

void guest_init(struct guest *guest, const char *name, const struct s2_config *table)
{
    struct s2_space_config config = {
        .table = *table,
        .table_pool = &machine.tables,
        .nodes = guest->nodes,
        .node_count = GUEST_NODES,
        .memory = &machine_memory,
        .vmids = &machine.vmids,
    };

    config.table.guard = &machine.guard;
    guest->name = name;
    guest->block_count = 0;
    guest->waits = 0;
    guest->stopped_at_fetch = false;
    guest->is_quiet = false;
    guest->has_port = false;
    guest->is_told = false;
    guest->vcpu = &guest->vcpus[0];
    if (s2_space_init(&guest->space, &config) != MAPPING_OK) {
        panic("a guest's space cannot be made");
    }
    add_image(guest);
    vcpu_init(guest->vcpu, s2_space_enterable(&guest->space), ipa_of(GUEST_IMAGE_IPA));
}

void guest_add_vcpu(struct guest *guest)
{
    vcpu_clone(&guest->vcpus[1], &guest->vcpus[0], 1);
}

void guest_use_vcpu(struct guest *guest, unsigned vcpu)
{
    guest->vcpu = &guest->vcpus[vcpu];
}

void guest_fini(struct guest *guest)
{
    vcpu_unload();
    if (s2_space_fini(&guest->space) != MAPPING_OK) {
        panic("a guest that was left does not end");
    }
    guest_release_ram(guest);
}

void guest_release_ram(struct guest *guest)
{
    for (size_t i = 0; i < guest->block_count; i++) {
        if (frame_pool_free(&machine.guests, guest->blocks[i].pa, guest->blocks[i].order) !=
            MAPPING_OK) {
            panic("a guest's block is not its own");
        }
    }
    guest->block_count = 0;
}

void *guest_memory(struct guest *guest, ipa_t ipa)
{
    struct s2_leaf leaf;

    if (s2_space_lookup(&guest->space, ipa, &leaf) != MAPPING_OK) {
        return NULL;
    }
    return frame_pool_ptr(&machine.guests, leaf.pa);
}

uint64_t guest_run_size(struct guest *guest, ipa_t ipa)
{
    struct s2_leaf leaf;

    return s2_space_lookup(&guest->space, ipa, &leaf) == MAPPING_OK ? leaf.run : 0;
}

/* Where and how long is the guest's word: a range that wraps is split to nothing, one that is not
 * its memory is printed as question marks. */
static void print_text(struct guest *guest, uint64_t start, uint64_t length)
{
    struct ipa_range text = ipa_range(start, mapping_u64_min(length, TEXT_MAX));

    if (guest->is_quiet) {
        return;
    }
    print("  %s says: ", guest->name);
    for (uint64_t i = 0; i < text.size && !ipa_range_wraps(text); i++) {
        const char *c = guest_memory(guest, ipa_add(text.start, i));

        print("%c", c == NULL ? '?' : *c);
    }
    print("\n");
}

static struct guest_result died(const struct guest *guest, const char *how, uint64_t esr,
                                uint64_t pc, uint64_t far)
{
    print("  %s died: %s, ESR 0x%lx, at 0x%lx, address 0x%lx\n", guest->name, how, esr, pc, far);
    return (struct guest_result){.outcome = GUEST_DIED};
}

/* The guest called; false if it is to go on at once. */
static bool is_over_after_call(struct guest *guest, struct guest_result *result)
{
    const uint64_t *x = guest->vcpu->regs.x;

    switch (x[CALL_NUMBER]) {
    case GUEST_CALL_NEXT:
        *result = (struct guest_result){.outcome = GUEST_DONE, .answer = x[CALL_ARGUMENT]};
        return true;
    case GUEST_CALL_PRINT:
        print_text(guest, x[CALL_ARGUMENT], x[CALL_ARGUMENT + 1]);
        return false;
    case GUEST_CALL_IRQ:
        guest->vcpu->irq_pending = false;
        return false;
    case GUEST_CALL_DIED:
        *result = died(guest, "an exception of its own", x[CALL_ARGUMENT], x[CALL_ARGUMENT + 1],
                       x[CALL_ARGUMENT + 2]);
        return true;
    default:
        *result = died(guest, "an unknown call", x[CALL_NUMBER], guest->vcpu->regs.pc, 0);
        return true;
    }
}

/* A WFI is answered by what it waits for: an interrupt. */
static void wake(struct guest *guest)
{
    guest->waits++;
    vcpu_skip(guest->vcpu);
    guest->vcpu->irq_pending = true;
}

bool guest_mend(struct guest *guest, const struct s2_fault *abort)
{
    guest->answer = s2_space_handle_fault(&guest->space, abort);
    guest->let_through += guest->answer.retry == S2_RETRY_TRAPPED;
    return guest->answer.verdict == S2_VERDICT_RETRY;
}

/* A register of the guest's emulated device: it keeps what was written, and answers its complement. */
static bool emulate(struct guest *guest)
{
    const struct s2_answer *answer = &guest->answer;
    uint64_t *x = guest->vcpu->regs.x;

    if (answer->verdict != S2_VERDICT_EMULATE || !answer->transfer.is_valid || !guest->has_port) {
        return false;
    }
    guest->port_offset = answer->offset;
    if (answer->is_write) {
        guest->port = s2_transfer_stored(&answer->transfer, x);
    } else {
        s2_transfer_load(&answer->transfer, x, ~guest->port);
    }
    guest->vcpu->regs.pc += answer->advance;
    return true;
}

/* The guest takes an exception of its own, for what it did. */
static bool tell(struct guest *guest, const struct s2_fault *abort)
{
    struct vcpu_regs *regs = &guest->vcpu->regs;
    const struct s2_guest_state state = {.pc = regs->pc,
                                         .spsr = regs->pstate,
                                         .sctlr_el1 = read_sctlr_el1(),
                                         .vbar_el1 = read_vbar_el1()};
    struct s2_injection told;

    if (!guest->is_told) {
        return false;
    }
    told = s2_fault_inject(abort, &state);
    write_esr_el1(told.esr_el1);
    write_far_el1(told.far_el1);
    write_elr_el1(told.elr_el1);
    write_spsr_el1(told.spsr_el1);
    regs->pc = told.pc;
    regs->pstate = told.spsr;
    guest->is_told = false;
    return true;
}

static struct guest_result run(struct guest *guest)
{
    struct guest_result result = {.outcome = GUEST_DIED};
    unsigned mended = 0;

    for (;;) {
        struct vcpu_exit exit = vcpu_run(guest->vcpu);

        switch (exit.reason) {
        case VCPU_EXIT_HVC:
            if (is_over_after_call(guest, &result)) {
                return result;
            }
            break;
        case VCPU_EXIT_WFX:
            wake(guest);
            break;
        case VCPU_EXIT_IRQ:
            break;
        case VCPU_EXIT_ABORT:
            if (mended < MENDED_MAX && guest_mend(guest, &exit.abort)) {
                mended = guest->answer.retry == S2_RETRY_FILLED ? 0 : mended + 1;
                break;
            }
            if (emulate(guest) || tell(guest, &exit.abort)) {
                mended = 0;
                break;
            }
            guest->stopped_at_fetch = exit.abort.access == S2_ACCESS_FETCH;
            return (struct guest_result){.outcome = GUEST_ABORTED, .abort = exit.abort};
        case VCPU_EXIT_SMC:
        case VCPU_EXIT_OTHER:
            return died(guest, "a trap", exit.esr, guest->vcpu->regs.pc, 0);
        }
    }
}

struct guest_result guest_boot(struct guest *guest)
{
    return run(guest);
}

struct guest_result guest_step(struct guest *guest, enum guest_step step, uint64_t a, uint64_t b,
                               uint64_t c)
{
    uint64_t *x = guest->vcpu->regs.x;

    x[CALL_NUMBER] = step;
    x[CALL_ARGUMENT] = a;
    x[CALL_ARGUMENT + 1] = b;
    x[CALL_ARGUMENT + 2] = c;
    return run(guest);
}

struct guest_result guest_retry(struct guest *guest)
{
    return run(guest);
}

struct guest_result guest_pass(struct guest *guest)
{
    struct vcpu_regs *regs = &guest->vcpu->regs;

    if (guest->stopped_at_fetch) {
        regs->x[0] = GUEST_SKIPPED;
        regs->pc = regs->x[LINK_REGISTER];
    } else {
        vcpu_skip(guest->vcpu);
    }
    return run(guest);
}
