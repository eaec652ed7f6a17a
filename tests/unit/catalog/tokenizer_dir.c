/* tokenizer_dir.c -- which files of a directory make the tokenizer (spec tokenizers 1.4, 16.3) */
#include "test.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "catalog/tokenizer_dir.h"

#define WORDS                                                                                                                      \
    "{\"version\":\"1.0\",\"added_tokens\":[],\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},\"model\":{\"type\":\"WordLevel\"," \
    "\"vocab\":{\"[UNK]\":0,\"a\":1},\"unk_token\":\"[UNK]\"}}"

static char folder[64];

static const char *path_of(const char *name)
{
    static char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int set_up(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/smg-tokenizer-dir-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return 0;
}

static int tear_down(void **state)
{
    DIR *d = opendir(folder);
    struct dirent *e;

    while ((e = readdir(d)) != NULL)
        if (e->d_name[0] != '.' && unlink(path_of(e->d_name)) < 0)
            assert_int_equal(rmdir(path_of(e->d_name)), 0);
    closedir(d);
    return rmdir(folder);
}

static void put(const char *name, const char *text)
{
    assert_int_equal(file_write_atomic(path_of(name), str_of(text), 0600, NULL), 0);
}

static void loads(const char *path)
{
    struct tokenizer *t = NULL;
    struct err err = { 0 };

    if (tokenizer_dir_load(str_of(path), &t, &err) < 0)
        fail_msg("%s: %s", path, err.message);
    tokenizer_free(t);
}

static void fails(const char *path, int code, const char *text)
{
    struct tokenizer *t = NULL;
    struct err err = { 0 };
    int r = tokenizer_dir_load(str_of(path), &t, &err);

    if (r != code || !strstr(err.message, text))
        fail_msg("%s: %d, %s", path, r, err.message);
    assert_null(t);
}

static void a_directory_with_tokenizer_json(void **state)
{
    put("tokenizer.json", WORDS);
    put("tiktoken.model", "nonsense"); /* it comes second */
    put("config.json", "{\"eos_token_id\":1}");
    loads(folder);
    loads(path_of("tokenizer.json"));
}

static void a_file_without_an_ending_is_looked_into(void **state)
{
    put("words", "\xEF\xBB\xBF \n" WORDS);
    put("gguf", "GGUF and more");
    put("spm", "\x0a\x09 and more of it");
    put("spm2", "some bytes, then <unk> and so on");
    put("other", "hello");
    put("empty", "");
    fails(path_of("gguf"), ERR_UNSUPPORTED, "GGUF format detected but not yet supported");
    fails(path_of("spm"), ERR_UNSUPPORTED, "SentencePiece model detected but not yet supported");
    fails(path_of("spm2"), ERR_UNSUPPORTED, "SentencePiece model detected but not yet supported");
    fails(path_of("other"), ERR_UNSUPPORTED, "Unable to determine tokenizer type for file");
    fails(path_of("empty"), ERR_UNSUPPORTED, "Unable to determine tokenizer type for file");
}

static void endings_decide(void **state)
{
    put("a.model", WORDS);
    put("a.GGUF", WORDS);
    put("a.JSON", WORDS);
    fails(path_of("a.model"), ERR_UNSUPPORTED, "SentencePiece models not yet supported");
    fails(path_of("a.GGUF"), ERR_UNSUPPORTED, "GGUF format not yet supported");
    loads(path_of("a.JSON"));
}

static void what_is_not_there(void **state)
{
    fails("/no/such/thing", ERR_NOT_FOUND, "File not found: /no/such/thing");
    fails(folder, ERR_NOT_FOUND,
          "does not contain a valid tokenizer file (tokenizer.json, tiktoken.model, *.tiktoken, or vocab.json)");
}

static void vocab_and_merges_of_a_class_that_is_not_qwen2s(void **state)
{
    put("vocab.json", "{}");
    put("merges.txt", "");
    fails(folder, ERR_UNSUPPORTED, "Unsupported vocab.json + merges.txt tokenizer_class '' in ");
    put("tokenizer_config.json", "{\"tokenizer_class\":\"OtherTokenizer\"}");
    fails(folder, ERR_UNSUPPORTED, "Unsupported vocab.json + merges.txt tokenizer_class 'OtherTokenizer' in ");
}

static void pipes_and_directories_are_no_files(void **state)
{
    assert_int_equal(mkfifo(path_of("tokenizer.json"), 0600), 0);
    assert_int_equal(mkdir(path_of("tiktoken.model"), 0700), 0);
    fails(folder, ERR_NOT_FOUND, "does not contain a valid tokenizer file");
    fails(path_of("tokenizer.json"), ERR_INVALID, "neither a directory nor a regular file");
    fails("/dev/zero", ERR_INVALID, "neither a directory nor a regular file");
}

static void a_configuration_that_is_too_long_is_refused(void **state)
{
    put("tokenizer.json", WORDS);
    put("config.json", "{}");
    assert_int_equal(truncate(path_of("config.json"), CONFIG_BYTES_MAX + 1), 0);
    fails(folder, ERR_LIMIT, "config.json: larger than");
}

static void paths_that_are_none(void **state)
{
    static char longest[PATH_MAX + 10];
    struct tokenizer *t = NULL;

    memset(longest, 'a', sizeof longest - 1);
    fails(longest, ERR_INVALID, "not a path");
    assert_int_equal(tokenizer_dir_load((struct str){ "/tmp\0/x", 7 }, &t, NULL), ERR_INVALID);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_directory_with_tokenizer_json),
        TEST(a_file_without_an_ending_is_looked_into),
        TEST(endings_decide),
        TEST(what_is_not_there),
        TEST(vocab_and_merges_of_a_class_that_is_not_qwen2s),
        TEST(pipes_and_directories_are_no_files),
        TEST(a_configuration_that_is_too_long_is_refused),
        TEST(paths_that_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
