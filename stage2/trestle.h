/*
 * trestle.h - all that an embedder needs.
 *
 *      what the CPUs can do           stage2/arch/identify.h
 *      one guest's address space      stage2/space/space.h
 *      RAM, devices, traps, guards    stage2/space/area.h
 *      what to do about a fault       stage2/space/fault.h
 *      its memory, read and written   stage2/space/access.h
 *      what two guests have           stage2/space/share.h
 *      map, unmap, protect, fold      stage2/space/verbs.h
 *      do areas and tables agree      stage2/space/check.h
 *      is what guests have apart      stage2/space/audit.h
 *      several changes, one flush     stage2/space/batch.h
 *      long changes in short steps    stage2/space/step.h
 *      what it has, out of caches     stage2/space/clean.h
 *      what it has and did            stage2/space/statistics.h
 *      taking it apart                stage2/space/fini.h
 *      running the guest              stage2/space/enter.h
 *      what a fault says              stage2/arch/syndrome.h
 *      after a fault                  stage2/table/recover.h
 *      the next access faults         stage2/space/trap.h
 *      the tables as text             stage2/table/dump.h
 *      devices that share the tables  stage2/arch/smmu.h
 *      sizes, for other languages     stage2/space/layout.h
 *
 * And for one who has a table without a space: stage2/table/verbs.h, operation.h, check.h, step.h.
 * Each header includes what it needs, and may be included alone.
 */
#ifndef TRESTLE_STAGE2_TRESTLE_H
#define TRESTLE_STAGE2_TRESTLE_H

#include "stage2/arch/identify.h"
#include "stage2/arch/smmu.h"
#include "stage2/arch/syndrome.h"
#include "stage2/space/access.h"
#include "stage2/space/area.h"
#include "stage2/space/audit.h"
#include "stage2/space/batch.h"
#include "stage2/space/check.h"
#include "stage2/space/clean.h"
#include "stage2/space/enter.h"
#include "stage2/space/fault.h"
#include "stage2/space/fini.h"
#include "stage2/space/layout.h"
#include "stage2/space/share.h"
#include "stage2/space/space.h"
#include "stage2/space/statistics.h"
#include "stage2/space/step.h"
#include "stage2/space/trap.h"
#include "stage2/space/verbs.h"
#include "stage2/table/check.h"
#include "stage2/table/dump.h"
#include "stage2/table/fold.h"
#include "stage2/table/lookup.h"
#include "stage2/table/operation.h"
#include "stage2/table/recover.h"
#include "stage2/table/verbs.h"

#endif
