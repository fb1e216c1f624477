#include "hyp/machine/pl011.h"

#include <stdint.h>

#define PL011_DR 0x00
#define PL011_FR 0x18
#define PL011_FR_TXFF MAPPING_BIT(5) /* the transmit FIFO is full */

/* EL2's map is the identity, so the register's PA is its address. */
static volatile uint32_t *pl011_register(uint64_t offset)
{
    return (volatile uint32_t *)(pa_distance(pa_of(0), (pa_t)PL011_PAGE) + offset);
}

void pl011_put(char c)
{
    while ((*pl011_register(PL011_FR) & PL011_FR_TXFF) != 0) {
    }
    *pl011_register(PL011_DR) = (unsigned char)c;
}
