/* hub_cache.c -- the folders, step by step; tests/integration/test_hub.py compares them with huggingface_hub's */
#include <sys/file.h>

#include "fail_alloc.h"
#include "fetch/hub_cache.h"
#include "fetch/temporary_folder.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define MODEL  "models--org--na-me/"

static struct hub_config config;
static struct hub_cache cache;
static struct hub_progress progress;
static struct err err;

static int make(void **state)
{
    int st = folder_make(state);

    config = (struct hub_config){ .cache = folder, .lock_s = 1 };
    atomic_store(&progress.phase, HUB_IDLE);
    assert_int_equal(hub_cache_init(&cache, &config, STR("org/na-me"), NULL), 0);
    return st;
}

static bool exists(const char *name)
{
    char path[PATH_MAX];
    struct stat st;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return lstat(path, &st) == 0;
}

static void a_slash_becomes_two_dashes(void **state)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/models--org--na-me", folder);
    assert_string_equal(cache.folder, path);
    snprintf(path, sizeof path, "%s/.locks/models--org--na-me", folder);
    assert_string_equal(cache.locks, path);
    assert_int_equal(hub_cache_init(&cache, &config, STR("gpt2"), NULL), 0);
    snprintf(path, sizeof path, "%s/models--gpt2", folder);
    assert_string_equal(cache.folder, path);
}

static void a_ref_says_the_commit(void **state)
{
    char commit[HUB_COMMIT_MAX];

    assert_false(hub_cache_commit(&cache, STR("main"), commit));
    assert_true(hub_cache_commit(&cache, STR(COMMIT), commit));
    assert_string_equal(commit, COMMIT);
    folder_write(MODEL "refs/main", COMMIT "\n");
    assert_true(hub_cache_commit(&cache, STR("main"), commit));
    assert_string_equal(commit, COMMIT);
    folder_write(MODEL "refs/main", "../../../etc");
    assert_false(hub_cache_commit(&cache, STR("main"), commit));
    folder_write(MODEL "refs/main", "");
    assert_false(hub_cache_commit(&cache, STR("main"), commit));
}

static void a_ref_is_written_and_moved(void **state)
{
    char commit[HUB_COMMIT_MAX];

    assert_int_equal(hub_cache_write_ref(&cache, STR("refs/pr/1"), "f" COMMIT, NULL), 0); /* 41 digits: nobody believes it */
    assert_false(hub_cache_commit(&cache, STR("refs/pr/1"), commit));
    assert_int_equal(hub_cache_write_ref(&cache, STR("refs/pr/1"), COMMIT, NULL), 0);
    assert_true(hub_cache_commit(&cache, STR("refs/pr/1"), commit));
    assert_true(exists(MODEL "refs/refs/pr/1"));
    assert_int_equal(hub_cache_write_ref(&cache, STR(COMMIT), COMMIT, NULL), 0);
    assert_false(exists(MODEL "refs/" COMMIT));
}

static void a_link_goes_to_the_blob_and_is_made_once(void **state)
{
    char path[PATH_MAX], target[PATH_MAX];
    ssize_t n;

    folder_write(MODEL "blobs/etag", "bytes");
    assert_int_equal(hub_cache_link(&cache, COMMIT, STR("a/b/tokenizer.json"), STR("etag"), NULL), 0);
    assert_int_equal(hub_cache_link(&cache, COMMIT, STR("a/b/tokenizer.json"), STR("etag"), NULL), 0);
    assert_true(hub_cache_has(&cache, COMMIT, STR("a/b/tokenizer.json")));
    assert_int_equal(hub_cache_path(&cache, COMMIT, STR("a/b/tokenizer.json"), path, NULL), 0);
    n = readlink(path, target, sizeof target);
    assert_str(((struct str){ target, (size_t)n }), "../../../../blobs/etag");
}

static void a_link_without_a_blob_is_none_and_is_mended(void **state)
{
    char path[PATH_MAX];

    folder_write(MODEL "blobs/etag", "bytes");
    folder_write(MODEL "snapshots/" COMMIT "/config.json", "{}");
    assert_int_equal(hub_cache_path(&cache, COMMIT, STR("tokenizer.json"), path, NULL), 0);
    assert_int_equal(symlink("../../blobs/gone", path), 0);
    assert_false(hub_cache_has(&cache, COMMIT, STR("tokenizer.json")));
    assert_int_equal(hub_cache_link(&cache, COMMIT, STR("tokenizer.json"), STR("etag"), NULL), 0);
    assert_true(hub_cache_has(&cache, COMMIT, STR("tokenizer.json")));
}

static void where_links_are_not_wanted_there_are_copies(void **state)
{
    char path[PATH_MAX];
    struct stat st;

    cache.copies = true;
    folder_write(MODEL "blobs/etag", "bytes");
    assert_int_equal(hub_cache_link(&cache, COMMIT, STR("x.model"), STR("etag"), NULL), 0);
    assert_int_equal(hub_cache_path(&cache, COMMIT, STR("x.model"), path, NULL), 0);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISREG(st.st_mode) && st.st_size == 5);
    assert_int_equal(hub_cache_link(&cache, COMMIT, STR("y.model"), STR("gone"), &err), ERR_IO);
    assert_non_null(strstr(err.message, "blobs/gone"));
    assert_false(exists(MODEL "snapshots/" COMMIT "/y.model"));
}

static void what_a_commit_lacks_is_noted(void **state)
{
    assert_false(hub_cache_lacks(&cache, COMMIT, STR("chat_template.jinja")));
    hub_cache_note_lack(&cache, COMMIT, STR("chat_template.jinja"));
    hub_cache_note_lack(&cache, COMMIT, STR("chat_template.jinja"));
    assert_true(hub_cache_lacks(&cache, COMMIT, STR("chat_template.jinja")));
    assert_true(exists(MODEL ".no_exist/" COMMIT "/chat_template.jinja"));
}

static void a_snapshot_lists_its_wanted_files(void **state)
{
    struct arena arena;
    struct hub_list l;

    folder_write(MODEL "snapshots/" COMMIT "/tokenizer.json", "{}");
    folder_write(MODEL "snapshots/" COMMIT "/README.md", "");
    folder_write(MODEL "snapshots/" COMMIT "/a/b/vocab.txt", "");
    folder_write(MODEL "snapshots/" COMMIT "/1/2/3/4/5/6/7/8/9/vocab.txt", ""); /* too deep */
    arena_init(&arena, NULL, 0);
    assert_int_equal(hub_cache_list(&cache, COMMIT, &arena, &l, NULL), 0);
    assert_int_equal(l.n, 2);
    assert_true(hub_list_has(&l, STR("tokenizer.json")) && hub_list_has(&l, STR("a/b/vocab.txt")));
    assert_int_equal(hub_cache_list(&cache, "f" COMMIT, &arena, &l, NULL), 0);
    assert_int_equal(l.n, 0);
    arena_fini(&arena);
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        int st;

        arena_init(&arena, NULL, 0);
        st = hub_cache_list(&cache, COMMIT, &arena, &l, NULL);
        assert_true(st == 0 || (st == ERR_NOMEM && fail_alloc_failed()));
        arena_fini(&arena);
    }
}

static void a_lock_is_held_by_one(void **state)
{
    struct hub_lock first, second = { -1 };

    assert_int_equal(hub_cache_lock(&cache, &config, STR("etag"), NULL, &progress, &first, NULL), 0);
    assert_true(exists(".locks/models--org--na-me/etag.lock") && exists(MODEL "blobs"));
    assert_int_equal(hub_cache_lock(&cache, &config, STR("etag"), NULL, &progress, &second, &err), ERR_BUSY);
    assert_non_null(strstr(err.message, "etag.lock"));
    assert_int_equal(atomic_load(&progress.phase), HUB_WAITING);
    hub_cache_unlock(&first);
    assert_int_equal(hub_cache_lock(&cache, &config, STR("etag"), NULL, &progress, &second, NULL), 0);
    hub_cache_unlock(&second);
    hub_cache_unlock(&second);
}

static void waiting_for_a_lock_can_be_cancelled(void **state)
{
    const _Atomic bool cancel = true;
    struct hub_lock first, second;

    config.lock_s = 3600;
    assert_int_equal(hub_cache_lock(&cache, &config, STR("etag"), &cancel, &progress, &first, NULL), 0);
    assert_int_equal(hub_cache_lock(&cache, &config, STR("etag"), &cancel, &progress, &second, NULL), ERR_CANCELLED);
    hub_cache_unlock(&first);
}

static void a_folder_that_cannot_be_made_is_named(void **state)
{
    struct hub_lock lock;

    folder_write(".locks", "a file");
    assert_int_equal(hub_cache_lock(&cache, &config, STR("etag"), NULL, &progress, &lock, &err), ERR_IO);
    assert_non_null(strstr(err.message, "/.locks"));
    assert_non_null(strstr(err.message, "HF_HUB_CACHE"));
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    static char name[PATH_MAX];
    char path[PATH_MAX];

    memset(name, 'a', sizeof name - 1);
    assert_int_equal(hub_cache_path(&cache, COMMIT, str_of(name), path, &err), ERR_LIMIT);
    config.cache = name;
    assert_int_equal(hub_cache_init(&cache, &config, STR("org/name"), &err), ERR_LIMIT);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(a_slash_becomes_two_dashes),
        IN_A_FOLDER(a_ref_says_the_commit),
        IN_A_FOLDER(a_ref_is_written_and_moved),
        IN_A_FOLDER(a_link_goes_to_the_blob_and_is_made_once),
        IN_A_FOLDER(a_link_without_a_blob_is_none_and_is_mended),
        IN_A_FOLDER(where_links_are_not_wanted_there_are_copies),
        IN_A_FOLDER(what_a_commit_lacks_is_noted),
        IN_A_FOLDER(a_snapshot_lists_its_wanted_files),
        IN_A_FOLDER(a_lock_is_held_by_one),
        IN_A_FOLDER(waiting_for_a_lock_can_be_cancelled),
        IN_A_FOLDER(a_folder_that_cannot_be_made_is_named),
        IN_A_FOLDER(a_path_that_is_too_long_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
