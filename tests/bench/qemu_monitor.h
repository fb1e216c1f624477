/*
 * qemu_monitor.h - the registers of a CPU's performance monitor, as far as they are used here.
 *
 * Source: Arm ARM DDI 0487, chapter D, "The Performance Monitors Extension" and the page of each
 * register.
 */
#ifndef TRESTLE_TESTS_BENCH_QEMU_MONITOR_H
#define TRESTLE_TESTS_BENCH_QEMU_MONITOR_H

#include "core/bits.h"
#include "hyp/machine/sysreg.h"

SYSREG_RO(pmceid0_el0)
SYSREG_RO(pmevcntr0_el0)
SYSREG(pmevtyper0_el0)
SYSREG(pmcntenset_el0)
SYSREG(pmcr_el0)

#define PMCR_E MAPPING_BIT(0)
#define PMEVTYPER_NSH MAPPING_BIT(27) /* EL2 counts, too */
#define EVENT_INST_RETIRED 0x08
#define PMCEID0_INST_RETIRED MAPPING_BIT(EVENT_INST_RETIRED)
#define PMCNTEN_COUNTER_0 MAPPING_BIT(0)

#endif
