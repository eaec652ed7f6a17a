/* malloc_count.c -- counts a process's calls of malloc and its like, without the process's knowing: a library for LD_PRELOAD
 *
 *     MALLOC_COUNT_FILE=counts LD_PRELOAD=libmalloc_count.so smg launch ...
 *
 * The counts stand in that file (struct counts below, made here, mapped by us and by whoever reads it: bench/mallocs.py). While the reader has set `trace`, each
 * call's stack is looked up in a table of stacks beside the counts, so that what is left on a hot path has a name. glibc only: its __libc_* do the work.
 */
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FRAMES 12
#define STACKS 512 /* different ones; past that they are counted in `stacks_lost` */

struct stack {
    _Atomic uint64_t hash; /* 0 = free */
    _Atomic uint64_t calls;
    void *frames[FRAMES]; /* the caller of malloc first; NULL behind the last */
};

struct counts {
    _Atomic uint64_t calls[4]; /* malloc, calloc, realloc, aligned ones */
    _Atomic uint64_t bytes;    /* asked for */
    _Atomic uint64_t trace;    /* written by the reader */
    _Atomic uint64_t stacks_lost;
    struct stack stacks[STACKS];
};

enum kind { MALLOC, CALLOC, REALLOC, ALIGNED };

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);

static struct counts *counts;
static __attribute__((tls_model("initial-exec"))) _Thread_local bool busy; /* the first backtrace() of a process allocates */

__attribute__((constructor)) static void map_counts(void)
{
    const char *path = getenv("MALLOC_COUNT_FILE");
    void *frames[1];
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644) : -1;

    if (fd < 0)
        return;
    backtrace(frames, 1);
    if (ftruncate(fd, sizeof(struct counts)) == 0) {
        void *p = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        if (p != MAP_FAILED)
            counts = p;
    }
    close(fd);
}

static void note_stack(void)
{
    void *frames[FRAMES + 2] = { 0 };
    int n = backtrace(frames, FRAMES + 2);
    uint64_t hash = 1469598103934665603u;

    for (int i = 2; i < n; i++) /* without ourselves */
        hash = (hash ^ (uintptr_t)frames[i]) * 1099511628211u;
    hash |= 1;
    for (size_t i = 0; i < STACKS; i++) {
        struct stack *s = &counts->stacks[(hash + i) % STACKS];
        uint64_t seen = 0;

        if (atomic_compare_exchange_strong(&s->hash, &seen, hash))
            memcpy(s->frames, frames + 2, sizeof s->frames);
        else if (seen != hash)
            continue;
        atomic_fetch_add(&s->calls, 1);
        return;
    }
    atomic_fetch_add(&counts->stacks_lost, 1);
}

static void note(enum kind kind, size_t bytes)
{
    if (!counts || busy)
        return;
    busy = true;
    atomic_fetch_add_explicit(&counts->calls[kind], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->bytes, bytes, memory_order_relaxed);
    if (atomic_load_explicit(&counts->trace, memory_order_relaxed))
        note_stack();
    busy = false;
}

__attribute__((visibility("default"))) void *malloc(size_t n)
{
    note(MALLOC, n);
    return __libc_malloc(n);
}

__attribute__((visibility("default"))) void *calloc(size_t n, size_t size)
{
    note(CALLOC, n * size);
    return __libc_calloc(n, size);
}

__attribute__((visibility("default"))) void *realloc(void *p, size_t n)
{
    note(REALLOC, n);
    return __libc_realloc(p, n);
}

__attribute__((visibility("default"))) void *aligned_alloc(size_t alignment, size_t n)
{
    note(ALIGNED, n);
    return __libc_memalign(alignment, n);
}

__attribute__((visibility("default"))) int posix_memalign(void **ret, size_t alignment, size_t n)
{
    void *p;

    note(ALIGNED, n);
    p = __libc_memalign(alignment, n);
    if (!p)
        return ENOMEM;
    *ret = p;
    return 0;
}
