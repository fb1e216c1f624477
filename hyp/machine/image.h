/*
 * image.h - symbols of linker/hyp.ld: where the image lies in RAM.
 *
 *      __text_start  code, constants                           2 MiB-aligned
 *      __data_start  data, BSS, stacks, the guest's program    2 MiB-aligned
 *      __image_end   the first byte that is free               2 MiB-aligned
 */
#ifndef TRESTLE_HYP_MACHINE_IMAGE_H
#define TRESTLE_HYP_MACHINE_IMAGE_H

extern const unsigned char __text_start[];
extern const unsigned char __data_start[];
extern const unsigned char __image_end[];

/* The guest's program as linked for its own addresses, and where in the image it was put. */
extern const unsigned char __guest_load_start[];
extern const unsigned char __guest_load_end[];

#endif
