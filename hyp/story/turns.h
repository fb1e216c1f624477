/*
 * turns.h - guests that do the same at the same addresses, by turns, and must not meet.
 */
#ifndef TRESTLE_HYP_STORY_TURNS_H
#define TRESTLE_HYP_STORY_TURNS_H

#include "hyp/vm/guest.h"

#define TURNS_BYTES 0x4000

/* Where: TURNS_BYTES that can be written, and memory that can be executed. */
struct turns_place {
    uint64_t data;
    uint64_t code;
};

/**
 * turns_take() - Let @guest write data and code of its own.
 * @who:     which of the guests it is; below 8.
 * @round:   how often it has had its turn before.
 * Returns:  whether it found what it had left the turn before, not what others wrote since.
 */
bool turns_take(struct guest *guest, const struct turns_place *place, unsigned who, unsigned round);

#endif
