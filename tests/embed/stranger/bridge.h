/* bridge.h - stage 2 in plain C. Calls answer 0, or a number that stage2_why() puts into words. */
#ifndef BRIDGE_H
#define BRIDGE_H

int stage2_join(void); /* each CPU as it comes up */
int stage2_init(void); /* one CPU, when all have */
int stage2_cpu(unsigned cpu);
const char *stage2_why(int error);

int guest_init(void);
int guest_map(unsigned long ipa, unsigned long pa, unsigned long size, int is_executable);
int guest_unmap(unsigned long ipa, unsigned long size);
int guest_is_sound(void);
int guest_enter(unsigned cpu); /* vCPU n runs on CPU n */
void guest_leave(unsigned cpu);
unsigned long guest_hcr(void); /* bits of HCR_EL2 */
int guest_fini(void);          /* also: whether every frame has come back */

#endif
