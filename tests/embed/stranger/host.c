/*
 * host.c - a host for one guest of two vCPUs, each on a CPU of its own, and what it checks.
 */
#include "host.h"

#include "bridge.h"

#define RAM 0x40000000UL /* IPAs, as guest.S has them */
#define SHARED 0x48000000UL
#define LATER 0x50000000UL
#define UART 0x09000000UL
#define RAM_SIZE (16 * PAGE)

#define EC_HVC 0x16
#define EC_DATA_ABORT 0x24
#define ISS_ISV BIT(24)
#define ISS_WNR BIT(6)

#define PSCI_CPU_ON 0xc4000003UL

static u8 guest_ram[RAM_SIZE] __attribute__((aligned(4096)));
static u8 shared_page[PAGE] __attribute__((aligned(4096)));
static u8 later_page[PAGE] __attribute__((aligned(4096)));
static u8 percpu_pages[CPUS][PAGE] __attribute__((aligned(4096)));

static struct lock lock;
static u32 passed, failed, joined, is_ready, is_gone;
static u64 gone_at;

static void take(struct lock *it)
{
    while (__atomic_exchange_n(&it->taken, 1, __ATOMIC_ACQUIRE) != 0) {
    }
}

static void give(struct lock *it)
{
    __atomic_store_n(&it->taken, 0, __ATOMIC_RELEASE);
}

static void wait_for(const u32 *flag, u32 value)
{
    while (__atomic_load_n(flag, __ATOMIC_ACQUIRE) != value) {
    }
}

static void raise_to(u32 *flag, u32 value)
{
    __atomic_store_n(flag, value, __ATOMIC_RELEASE);
}

static void check(bool is_so, const char *what)
{
    take(&lock);
    print(is_so ? "ok    " : "FAIL  ");
    print(what);
    print("\n");
    passed += is_so ? 1 : 0;
    failed += is_so ? 0 : 1;
    give(&lock);
}

static void must(int error, const char *what)
{
    if (error != 0) {
        print(what);
        print(": ");
        print(stage2_why(error));
        print("\n0 passed, 1 failed\n");
        stop(2);
    }
}

void host_assertion(unsigned long place);
void host_assertion(unsigned long place)
{
    print("an assertion failed before address ");
    print_number(place);
    print("\n0 passed, 1 failed\n");
    stop(3);
}

_Noreturn void host_died(u64 esr, u64 elr, u64 far);
_Noreturn void host_died(u64 esr, u64 elr, u64 far)
{
    print("the host took an exception, ESR ");
    print_number(esr);
    print(" ELR ");
    print_number(elr);
    print(" FAR ");
    print_number(far);
    print("\n0 passed, 1 failed\n");
    stop(4);
}

/* RAM and devices where they lie; PERCPU is each CPU's own page. */
void stage1_build(void);
void stage1_build(void)
{
    for (u64 cpu = 0; cpu < CPUS; cpu++) {
        u64(*tables)[512] = stage1_tables[cpu];

        tables[0][0] = FIELD(1, 2) | BIT(54) | 0x401; /* devices */
        tables[0][1] = BIT(30) | 0x701;               /* RAM */
        tables[0][PERCPU >> 30] = (u64)tables[1] | 3;
        tables[1][0] = (u64)tables[2] | 3;
        tables[2][0] = (u64)percpu_pages[cpu] | BIT(54) | 0x703;
    }
}

static void set_hcr(u64 bits)
{
    const u64 hcr = BIT(31) | BIT(19) | bits; /* RW, TSC */

    __asm__ volatile("msr hcr_el2, %0\n\tisb" : : "r"(hcr) : "memory");
}

/* A device that is nowhere: its data register prints, its flag register says that it is idle. */
static void play_uart(u64 offset, u64 iss)
{
    const u32 reg = (iss >> 16) & 31;

    if ((iss & ISS_WNR) == 0) {
        this_cpu->regs[reg] = offset == 0x18 ? 0x90 : 0;
    } else if (offset == 0) {
        check(reg != 31 && (this_cpu->regs[reg] & 0xff) == 'g',
              "the guest wrote a letter to its UART");
    }
    this_cpu->elr += 4;
}

/* A fault of vCPU 0: memory that is due, or the device. */
static bool serve_fault(u64 iss)
{
    const u64 ipa = (this_cpu->hpfar & 0xffffffffff0UL) << 8;

    if (ipa == LATER) {
        must(guest_map(LATER, (u64)later_page, PAGE, 0), "memory at the first touch");
        return true;
    }
    if (ipa == UART && (iss & ISS_ISV) != 0) {
        play_uart(this_cpu->far & (PAGE - 1), iss);
        return true;
    }
    return false;
}

/* The page that the other vCPU counts in goes, while it counts. */
static void take_page_away(void)
{
    const u64 *count = (const u64 *)shared_page;
    u64 last;
    bool is_still = true;

    while (READ_ONCE(*count) < 1000) {
    }
    must(guest_unmap(SHARED, PAGE), "take a page");
    last = READ_ONCE(*count);
    for (u64 i = 0; i < 1000000; i++) {
        is_still = is_still && READ_ONCE(*count) == last;
    }
    wait_for(&is_gone, 1);
    check(is_still, "nobody reaches a page that was taken away");
    check(gone_at == SHARED, "the other vCPU faults there");
    check(guest_is_sound() != 0, "areas and tables agree");
}

static const char *const asked[] = {NULL, "guest: memory holds what is put there",
                                    "guest: memory that comes at the first touch is zero",
                                    "guest: its device answers"};

static void run_first(void)
{
    this_cpu->regs[0] = 0;
    this_cpu->elr = RAM;
    for (;;) {
        u64 class, iss;

        guest_run();
        class = this_cpu->esr >> 26;
        iss = this_cpu->esr & (BIT(25) - 1);
        if (class == EC_HVC && this_cpu->regs[0] < 4) {
            check(this_cpu->regs[1] == 1, asked[this_cpu->regs[0]]);
        } else if (class == EC_HVC && this_cpu->regs[0] == 4) {
            take_page_away();
        } else if (class != EC_DATA_ABORT || !serve_fault(iss)) {
            check(class == EC_HVC && this_cpu->regs[0] == 5, "the guest came to its end");
            return;
        }
    }
}

/* Until its page is gone. */
static void run_second(void)
{
    this_cpu->regs[0] = 1;
    this_cpu->elr = RAM;
    guest_run();
    gone_at = (this_cpu->hpfar & 0xffffffffff0UL) << 8;
}

static void prepare(void)
{
    memcpy(guest_ram, guest_program, (u64)(guest_program_end - guest_program));
    wait_for(&joined, CPUS);
    must(stage2_init(), "begin");
    must(guest_init(), "a guest");
    must(guest_map(RAM, (u64)guest_ram, RAM_SIZE, 1), "its RAM");
    must(guest_map(SHARED, (u64)shared_page, PAGE, 0), "a page for both");
    check(guest_is_sound() != 0, "areas and tables agree");
}

void host_start(u32 cpu)
{
    this_cpu->number = cpu;
    must(stage2_join(), "join");
    (void)__atomic_add_fetch(&joined, 1, __ATOMIC_ACQ_REL);
    if (cpu == 0) {
        (void)smc(PSCI_CPU_ON, 1, (u64)secondary, 1);
        prepare();
        raise_to(&is_ready, 1);
    }
    wait_for(&is_ready, 1);
    must(stage2_cpu(cpu), "a CPU");
    must(guest_enter(cpu), "enter");
    set_hcr(guest_hcr());
    if (cpu == 0) {
        run_first();
    } else {
        run_second();
    }
    set_hcr(0);
    guest_leave(cpu);
    if (cpu != 0) {
        raise_to(&is_gone, 1);
        return;
    }
    check(guest_fini() == 0, "the guest ends, and every frame is back");
    print_number(passed);
    print(" passed, ");
    print_number(failed);
    print(" failed\n");
    stop(failed == 0 ? 0 : 1);
}
