#include "hyp/story/turns.h"

#define SEED_FIRST 100
#define WHO_COUNT 8

static uint64_t seed_of(unsigned who, unsigned round)
{
    return SEED_FIRST + WHO_COUNT * round + who;
}

static bool finds(struct guest *guest, const struct turns_place *place, uint64_t seed)
{
    struct guest_result data = guest_step(guest, GUEST_STEP_VERIFY, place->data, TURNS_BYTES, seed);
    struct guest_result code = guest_step(guest, GUEST_STEP_CALL, place->code, 0, 0);

    return data.outcome == GUEST_DONE && data.answer == 0 && code.outcome == GUEST_DONE &&
           code.answer == seed;
}

bool turns_take(struct guest *guest, const struct turns_place *place, unsigned who, unsigned round)
{
    bool holds = round == 0 || finds(guest, place, seed_of(who, round - 1));

    guest_step(guest, GUEST_STEP_FILL, place->data, TURNS_BYTES, seed_of(who, round));
    guest_step(guest, GUEST_STEP_COPY_CODE, place->code, seed_of(who, round), 0);
    return holds;
}
