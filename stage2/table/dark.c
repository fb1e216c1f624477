#include "stage2/table/dark.h"

void s2_dark_zero(s2_desc_t *slot, size_t count)
{
    s2_dark_fill(slot, count, S2_DESC_NONE, 0);
}
