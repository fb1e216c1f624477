/*
 * host.h - this host's own world: its types, its bits, its locks. It was here before the library, has
 * no C library, and its names are what they are.
 */
#ifndef HOST_H
#define HOST_H

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

#define BIT(n) (1UL << (n))
#define FIELD(value, shift) ((u64)(value) << (shift))
#define min(a, b) ((a) < (b) ? (a) : (b))

#define CPUS 2
#define PAGE 4096UL
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))

struct lock {
    u32 taken;
};

/* What a CPU keeps for itself, at PERCPU on every CPU: each one's own page is mapped there. boot.S
 * knows where regs and host_sp are. */
struct percpu {
    u64 regs[31];
    u64 host_sp;
    u64 elr;
    u64 esr, far, hpfar;
    u32 number;
};

#define PERCPU 0x100000000UL
#define this_cpu ((struct percpu *)PERCPU)

void *memset(void *to, int byte, unsigned long size);
void *memcpy(void *to, const void *from, unsigned long size);
void *memmove(void *to, const void *from, unsigned long size);
int memcmp(const void *a, const void *b, unsigned long size);

void print(const char *text);
void print_number(u64 number);
_Noreturn void stop(u64 code);

/* boot.S. Run the guest from this_cpu->elr with this_cpu->regs until it comes back. */
void guest_run(void);
void host_start(u32 cpu);
void secondary(void);
u64 smc(u64 function, u64 a, u64 b, u64 c);

extern u64 stage1_tables[CPUS][3][512];
extern u8 guest_program[], guest_program_end[];

#endif
