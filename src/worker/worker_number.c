#include "worker/worker_number.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static uint64_t taken[WORKER_NUMBERS / 64] = { 1 };      /* a bit for each number; 0 is never free */
static unsigned last;                                    /* the one that was handed out last */

static bool is_taken(unsigned number)
{
    return taken[number / 64] >> (number % 64) & 1;
}

uint16_t worker_number_take(void)
{
    unsigned number = 0;

    pthread_mutex_lock(&lock);
    for (unsigned i = 1; i <= WORKER_NUMBERS && !number; i++)
        if (!is_taken((last + i) % WORKER_NUMBERS))
            number = (last + i) % WORKER_NUMBERS;
    if (number) {
        taken[number / 64] |= 1ull << (number % 64);
        last = number;
    }
    pthread_mutex_unlock(&lock);
    return (uint16_t)number;
}

void worker_number_give(uint16_t number)
{
    if (!number)
        return;
    pthread_mutex_lock(&lock);
    assert(is_taken(number));
    taken[number / 64] &= ~(1ull << (number % 64));
    pthread_mutex_unlock(&lock);
}
