/*
 * address_translation.h - the AT instructions: how the CPU translates an address.
 *
 * They walk the guest's live tables (SCTLR_EL1, TTBRx_EL1, VTTBR_EL2, HCR_EL2), and answer in
 * PAR_EL1, which belongs to the guest and is put back.
 */
#ifndef TRESTLE_HYP_MACHINE_ADDRESS_TRANSLATION_H
#define TRESTLE_HYP_MACHINE_ADDRESS_TRANSLATION_H

#include <stdint.h>

/* Stage 1 alone, a read from EL1, as PAR_EL1: F if the guest's tables refuse @va. */
uint64_t at_s1e1r(uint64_t va);

/* Both stages, a read or a write from EL1, as PAR_EL1. */
uint64_t at_s12e1r(uint64_t va);
uint64_t at_s12e1w(uint64_t va);

#endif
