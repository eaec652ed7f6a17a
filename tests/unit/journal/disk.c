/* disk.c -- a real folder: its modes, its lock, its refusals */
#include "journal/disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fail_alloc.h"
#include "test.h"

static char root[64];

static int make_root(void **state)
{
    snprintf(root, sizeof root, "/tmp/smg-disk-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static const char *in_root(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static unsigned mode_of(const char *path)
{
    struct stat s;

    assert_int_equal(stat(path, &s), 0);
    return s.st_mode & 0777;
}

static void makes_the_folder_and_files_for_its_user_only(void **state)
{
    struct disk *d = NULL;
    char path[256];
    int file;

    umask(0);
    assert_int_equal(disk_open(in_root("new"), &d, NULL), 0);
    assert_int_equal(mode_of(in_root("new")), 0700);
    assert_int_equal(mode_of(in_root("new/lock")), 0600);
    file = d->ops->open(d, "f", DISK_NEW);
    assert_true(file >= 0);
    d->ops->close(d, file);
    snprintf(path, sizeof path, "%s", in_root("new/f"));
    assert_int_equal(mode_of(path), 0600);
    disk_free(d);
}

static void what_is_written_is_read_and_cut_and_renamed(void **state)
{
    struct disk *d = NULL;
    char text[16];
    int file;

    assert_int_equal(disk_open(in_root("rw"), &d, NULL), 0);
    assert_int_equal(d->ops->open(d, "f", DISK_OLD), -ENOENT);
    file = d->ops->open(d, "f", DISK_NEW);
    assert_int_equal(d->ops->write(d, file, "hello world", 11, 0), 11);
    assert_int_equal(d->ops->write(d, file, "W", 1, 6), 1);
    assert_int_equal(d->ops->cut(d, file, 8), 0);
    assert_int_equal(d->ops->sync(d, file), 0);
    assert_int_equal(d->ops->read(d, file, text, sizeof text, 2), 6);
    assert_memory_equal(text, "llo Wo", 6);
    d->ops->close(d, file);
    assert_int_equal(d->ops->rename(d, "f", "g"), 0);
    assert_int_equal(d->ops->sync_folder(d), 0);
    assert_int_equal(d->ops->open(d, "f", DISK_OLD), -ENOENT);
    file = d->ops->open(d, "g", DISK_OLD);
    assert_int_equal(d->ops->read(d, file, text, sizeof text, 8), 0);
    d->ops->close(d, file);
    assert_int_equal(d->ops->remove(d, "g"), 0);
    assert_int_equal(d->ops->remove(d, "g"), -ENOENT);
    disk_free(d);
}

static void a_second_gateway_is_refused_by_name_until_the_first_is_gone(void **state)
{
    struct disk *first = NULL, *second = NULL;
    struct err err = { 0 };
    char mine[32];

    assert_int_equal(disk_open(in_root("locked"), &first, NULL), 0);
    assert_int_equal(disk_open(in_root("locked"), &second, &err), ERR_BUSY);
    snprintf(mine, sizeof mine, "process %d", (int)getpid());
    assert_non_null(strstr(err.message, mine));
    assert_non_null(strstr(err.message, "--state-dir"));
    disk_free(first);
    assert_int_equal(disk_open(in_root("locked"), &second, NULL), 0);
    disk_free(second);
}

static void a_killed_process_leaves_no_lock(void **state)
{
    struct disk *d = NULL;
    int status;
    pid_t child = fork();

    if (child == 0) {
        if (disk_open(in_root("killed"), &d, NULL) == 0)
            abort();
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(disk_open(in_root("killed"), &d, NULL), 0);
    disk_free(d);
}

static void a_folder_that_cannot_be_is_refused_with_a_remedy(void **state)
{
    struct disk *d = NULL;
    struct err err = { 0 };
    FILE *f = fopen(in_root("file"), "w");

    assert_non_null(f);
    fclose(f);
    assert_true(disk_open(in_root("file"), &d, &err) < 0); /* a file */
    assert_non_null(strstr(err.message, "name a directory"));
    assert_true(disk_open(in_root("no/such/parent"), &d, &err) < 0);
    assert_non_null(strstr(err.message, "No such file or directory"));
    assert_non_null(strstr(err.message, "make it"));
    assert_true(disk_open("/proc/self/fdinfo", &d, &err) < 0); /* a folder where nobody can write, root neither */
    assert_non_null(strstr(err.message, "cannot write in it"));
    assert_null(d);
}

static void keeps_its_promises_when_memory_runs_out(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct disk *d = NULL;
        int r = disk_open(in_root("oom"), &d, NULL);

        assert_true(r == 0 || r == ERR_NOMEM);
        disk_free(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_the_folder_and_files_for_its_user_only),
        cmocka_unit_test(what_is_written_is_read_and_cut_and_renamed),
        cmocka_unit_test(a_second_gateway_is_refused_by_name_until_the_first_is_gone),
        cmocka_unit_test(a_killed_process_leaves_no_lock),
        cmocka_unit_test(a_folder_that_cannot_be_is_refused_with_a_remedy),
        cmocka_unit_test(keeps_its_promises_when_memory_runs_out),
    };

    return cmocka_run_group_tests(tests, make_root, remove_root);
}
