/* worker/worker_number.h -- small numbers for workers, so that indexes can name one in 16 bits
 *
 * A number is taken when a worker's live part is made and given back when that ends. Numbers are handed out in a circle: one that was given back comes up again only
 * after all the others, so what still names its former owner has tens of thousands of registrations' time to be forgotten; and who must be sure compares with
 * worker_live.born_us. Any thread; a lock that is held for a look at a bitmap.
 */
#pragma once

#include <stdint.h>

#define WORKER_NUMBERS 65536 /* numbers are below it; 0 is nobody's */

uint16_t worker_number_take(void);        /* 0: all are taken */
void worker_number_give(uint16_t number); /* 0 is fine */
