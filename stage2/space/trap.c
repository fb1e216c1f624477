#include "stage2/space/trap.h"

enum mapping_error s2_space_trap(struct s2_space *space)
{
    enum mapping_error error;

    mapping_lock_acquire(&space->lock);
    error = s2_table_trap(&space->table);
    mapping_lock_release(&space->lock);
    return error;
}

bool s2_space_untrap(struct s2_space *space, ipa_t addr)
{
    bool is_back;

    mapping_lock_acquire(&space->lock);
    is_back = s2_table_untrap(&space->table, addr);
    mapping_lock_release(&space->lock);
    return is_back;
}

void s2_space_trap_end(struct s2_space *space)
{
    mapping_lock_acquire(&space->lock);
    s2_table_trap_end(&space->table);
    mapping_lock_release(&space->lock);
}
