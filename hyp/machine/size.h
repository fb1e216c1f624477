/*
 * size.h - sizes for people: "4 KiB", "512 GiB", in the largest unit that leaves no rest.
 *
 *      print("%lu %s", size_number(bytes), size_unit(bytes))
 */
#ifndef TRESTLE_HYP_MACHINE_SIZE_H
#define TRESTLE_HYP_MACHINE_SIZE_H

#include <stdint.h>

uint64_t size_number(uint64_t bytes);
const char *size_unit(uint64_t bytes);

#endif
