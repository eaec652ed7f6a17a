/* loop/priority.h -- which threads the kernel lets go first where they share a core
 *
 * Requests come before everything else: the thread of a loop runs as soon as something wakes it, and what works behind the scenes (the control thread, the blocking pool) gets
 * its share of a busy core in the gaps. Nothing here needs a privilege, and nothing is changed for a process that runs under another policy than the usual one: whoever set
 * that knew better. Kernels before 6.12 do not know the short slice, and ignore it.
 */
#pragma once

/* The calling thread answers: it asks for short slices, so that it is let in when it wakes, in the middle of another's long one. */
void priority_answers(void);

/* The calling thread stands back: it never takes a core from a running thread, and has a tenth of one that loops want all of. Threads that it starts from now on do likewise. */
void priority_stands_back(void);
