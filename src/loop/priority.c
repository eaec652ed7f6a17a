/* loop/priority.c -- words with the scheduler
 *
 * Why a nice value alone is not enough: it says how much of a core a thread gets, not when. A thread that wakes waits for the end of the running one's slice (some milliseconds)
 * unless it is owed more; a control thread that had slept was owed enough to take the core from a loop in the middle of a request.
 * SCHED_IDLE would be the other extreme: a three-hundredth of a busy core, health checks that time out.
 */
#include "loop/priority.h"

#include <linux/sched.h> /* not <sched.h>, which has a struct sched_attr of its own in newer libraries */
#include <linux/sched/types.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SHORT_SLICE_NS  100000 /* the shortest that the kernel grants */
#define BACKGROUND_NICE 10     /* a tenth of the weight of nice 0; added to what the process was started with */
#define NICE_MAX        19

/* False: it runs under a policy that somebody chose, or the kernel does not say. */
static int read_usual(struct sched_attr *ret)
{
    memset(ret, 0, sizeof *ret);
    return syscall(SYS_sched_getattr, 0, ret, sizeof *ret, 0) == 0 && ret->sched_policy == SCHED_NORMAL;
}

/* A sandbox may refuse it: then it stays as it is. */
static void set(struct sched_attr *a)
{
    a->size = sizeof *a;
    (void)syscall(SYS_sched_setattr, 0, a, 0);
}

void priority_answers(void)
{
    struct sched_attr a;

    if (!read_usual(&a))
        return;
    a.sched_runtime = SHORT_SLICE_NS;
    set(&a);
}

void priority_stands_back(void)
{
    struct sched_attr a;

    if (!read_usual(&a))
        return;
    a.sched_policy = SCHED_BATCH;
    a.sched_nice = a.sched_nice + BACKGROUND_NICE < NICE_MAX ? a.sched_nice + BACKGROUND_NICE : NICE_MAX;
    a.sched_runtime = 0; /* the kernel's own slice */
    set(&a);
}
