/*
 * trestle.h - all that an embedder needs.
 *
 *      one guest's address space      stage2/space/space.h
 *      several changes, one flush     stage2/space/batch.h
 *      long changes in short steps    stage2/space/step.h
 *      taking it apart                stage2/space/fini.h
 *      running the guest              stage2/space/enter.h
 *
 * Each header says what it needs, and may be included alone.
 */
#ifndef TRESTLE_STAGE2_TRESTLE_H
#define TRESTLE_STAGE2_TRESTLE_H

#include "stage2/space/batch.h"
#include "stage2/space/enter.h"
#include "stage2/space/fini.h"
#include "stage2/space/space.h"
#include "stage2/space/step.h"

#endif
