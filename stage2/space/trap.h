/*
 * trap.h - the next access of a guest anywhere faults: as stage2/table/trap.h, of a space.
 *
 *      s2_space_trap(&space)
 *      ... a translation fault comes at @addr (HPFAR_EL2):
 *      if (s2_space_untrap(&space, addr)) { note it, and let the guest try again }
 *      else { as any fault }
 */
#ifndef TRESTLE_STAGE2_SPACE_TRAP_H
#define TRESTLE_STAGE2_SPACE_TRAP_H

#include "core/c.h"
#include "stage2/space/space.h"
#include "stage2/table/trap.h"

TRESTLE_BEGIN

/* As the calls on a table of that name; each locks the space. */
MAPPING_MUST_USE enum mapping_error s2_space_trap(struct s2_space *space);
bool s2_space_untrap(struct s2_space *space, ipa_t addr);
void s2_space_trap_end(struct s2_space *space);

TRESTLE_END

#endif
