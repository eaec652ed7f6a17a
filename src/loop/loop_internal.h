/* loop/loop_internal.h -- what the files of loop/ share with each other only */
#pragma once

#include "loop/loop.h"

/* timer.c: the wheel of a loop. Needs l->tick initialised; fini does not touch timers that are still running. */
int timer_wheel_init(struct loop *l) _must_check_;
void timer_wheel_fini(struct loop *l);

/* snapshot.c: the epoch that loop INDEX publishes; static memory, so a reclaimer may look at it whatever becomes of the loop. NULL = taken. */
_Atomic uint64_t *snapshot_slot_take(unsigned index);
void snapshot_slot_give(_Atomic uint64_t *slot);
