/*
 * pl011.h - the virt machine's UART, for output.
 */
#ifndef TRESTLE_HYP_MACHINE_PL011_H
#define TRESTLE_HYP_MACHINE_PL011_H

#include "core/addr.h"

#define PL011_PAGE PA_INIT(0x09000000) /* where QEMU's virt machine has it: one 4K page */
#define PL011_PERIPHID0 0xfe0          /* offset of the part number's low byte, */
#define PL011_PERIPHID0_VALUE 0x11     /* which is the 11 of PL011 */

/* Waits until the UART has room. The emulator's needs no set-up, and its baud rate is a fiction. */
void pl011_put(char c);

#endif
