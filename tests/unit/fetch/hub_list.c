/* hub_list.c -- which names are taken, and which files are wanted (spec tokenizers 1.5 and 16) */
#include "fail_alloc.h"
#include "fetch/hub_list.h"
#include "test.h"

static void the_filter_of_the_spec(void **state)
{
    static const struct {
        const char *name;
        enum hub_want want;
    } ROWS[] = {
        { "spiece.model", HUB_WANTED },
        { "model.safetensors", HUB_UNWANTED },
        { "sub/dir/tokenizer.json", HUB_WANTED },
        { "chat_template.json", HUB_WANTED },
        { "sub/chat_template.json", HUB_UNWANTED },
        { "logo.PNG", HUB_UNWANTED },
        { "tokenizer.json", HUB_WANTED },
        { "tokenizer_config.json", HUB_WANTED },
        { "special_tokens_map.json", HUB_WANTED },
        { "vocab.json", HUB_WANTED },
        { "merges.txt", HUB_WANTED },
        { "original/tokenizer.model", HUB_WANTED },
        { "qwen.tiktoken", HUB_WANTED },
        { "chat_template.jinja", HUB_WANTED },
        { "additional_chat_templates/tool_use.jinja", HUB_WANTED },
        { "vocab.txt", HUB_WANTED }, /* BETTER, as the next two */
        { "added_tokens.json", HUB_WANTED },
        { "preprocessor_config.json", HUB_BEST_EFFORT },
        { "config.json", HUB_BEST_EFFORT },
        { "generation_config.json", HUB_BEST_EFFORT },
        { "sub/config.json", HUB_UNWANTED },
        { ".gitattributes", HUB_UNWANTED },
        { "LICENSE", HUB_UNWANTED },
        { "LICENSE.txt", HUB_UNWANTED },
        { "README.md", HUB_UNWANTED },
        { "USE_POLICY.md", HUB_UNWANTED },
        { "pytorch_model.bin", HUB_UNWANTED },
        { "tf_model.h5", HUB_UNWANTED },
        { "flax_model.msgpack", HUB_UNWANTED },
        { "x.ckpt.index", HUB_UNWANTED },
        { "tokenizer.json.JPEG", HUB_UNWANTED },
        { "", HUB_UNWANTED },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        if (hub_want_of(str_of(ROWS[i].name)) != ROWS[i].want)
            fail_msg("%s is %d", ROWS[i].name, hub_want_of(str_of(ROWS[i].name)));
    }
}

static void a_source_is_a_name_and_perhaps_a_revision(void **state)
{
    struct hub_source s;

    assert_int_equal(hub_source_parse(STR("org/name"), &s, NULL), 0);
    assert_str(s.id, "org/name");
    assert_str(s.revision, "main");
    assert_int_equal(hub_source_parse(STR("gpt2@refs/pr/1"), &s, NULL), 0);
    assert_str(s.id, "gpt2");
    assert_str(s.revision, "refs/pr/1");
    assert_int_equal(hub_source_parse(STR("Org_1/Na-me.v2@v1.0"), &s, NULL), 0);
    assert_str(s.revision, "v1.0");
}

static void other_sources_are_refused_by_name(void **state)
{
    static const char *const ROWS[] = {
        "",          "/",    "a/",   "/a",     "a/b/c",    "..",     "a/..",   "a--b", "-a",
        "a.",        "a b",  "a\\b", "a.git",  "\xC3\xA4", "a:b",    "a%2fb",  "a@",   "a@..",
        "a@../../x", "a@/x", "a@x/", "a@x//y", "a@x y",    "a@x\ny", "a@x\\y", "a@.",  "a@x\xC3\xA4"
    };
    char long_name[98];
    struct hub_source s = { STR_NONE, STR_NONE };
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        if (hub_source_parse(str_of(ROWS[i]), &s, &err) != ERR_INVALID)
            fail_msg("%s was taken", ROWS[i]);
    }
    memset(long_name, 'a', 97);
    assert_int_equal(hub_source_parse((struct str){ long_name, 96 }, &s, NULL), 0);
    assert_int_equal(hub_source_parse((struct str){ long_name, 97 }, &s, NULL), ERR_INVALID);
    assert_int_equal(hub_source_parse((struct str){ "a\0b", 3 }, &s, NULL), ERR_INVALID);
}

static void a_safe_name_stays_below_its_folder(void **state)
{
    static const char *const GOOD[] = { "a", "a/b", "..a", "a..", "a/.b/c", ".no", "\xC3\xA4", "a b" };
    static const char *const BAD[] = {
        "",       ".",    "..",   "/a",   "a/",   "a//b",  "a/./b",
        "a/../b", "../a", "a/..", "a\\b", "a\nb", "a\x7f", "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17"
    };
    char part[300];

    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++)
        assert_true(hub_name_is_safe(str_of(GOOD[i])));
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_false(hub_name_is_safe(str_of(BAD[i])));
    assert_false(hub_name_is_safe((struct str){ "a\0b", 3 }));
    memset(part, 'a', sizeof part);
    assert_true(hub_name_is_safe((struct str){ part, 255 }));
    assert_false(hub_name_is_safe((struct str){ part, 256 }));
}

static void a_commit_is_forty_or_sixty_four_digits(void **state)
{
    static const char DIGITS[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    assert_true(hub_is_commit((struct str){ DIGITS, 40 }));
    assert_true(hub_is_commit((struct str){ DIGITS, 64 }));
    assert_false(hub_is_commit((struct str){ DIGITS, 39 }));
    assert_false(hub_is_commit(STR("0123456789ABCDEF0123456789abcdef01234567")));
    assert_false(hub_is_commit(STR("")));
}

static int parse(const char *text, struct arena *arena, struct hub_list *l, struct err *err)
{
    arena_init(arena, NULL, 0);
    *l = (struct hub_list){ 0 };
    return hub_list_parse(str_of(text), arena, l, err);
}

static void a_list_keeps_what_is_wanted(void **state)
{
    struct arena arena;
    struct hub_list l;

    assert_int_equal(
        parse("{\"id\":\"a/b\",\"sha\":\"0123456789abcdef0123456789abcdef01234567\",\"siblings\":[{\"rfilename\":\"README.md\"},"
              "{\"rfilename\":\"tokenizer.json\",\"size\":1},{\"rfilename\":\"tokenizer\\u002ejson\"},{\"rfilename\":\"..\\\\w."
              "bin\"},{\"x\":1},7,"
              "{\"rfilename\":\"config.json\"}]}",
              &arena, &l, NULL),
        0);
    assert_string_equal(l.commit, "0123456789abcdef0123456789abcdef01234567");
    assert_int_equal(l.files, 5);
    assert_int_equal(l.n, 2);
    assert_true(hub_list_has(&l, STR("tokenizer.json")) && hub_list_has(&l, STR("config.json")));
    assert_false(hub_list_has(&l, STR("README.md")));
    arena_fini(&arena);
}

static void a_list_that_is_none_is_refused_with_the_reason(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *message;
    } ROWS[] = {
        { "<html>", ERR_SYNTAX, "no JSON" },
        { "[]", ERR_SYNTAX, "no description of a model" },
        { "{\"sha\":5}", ERR_INVALID, "no commit" },
        { "{\"sha\":\"../../x\"}", ERR_INVALID, "no commit" },
        { "{\"siblings\":[{\"rfilename\":\"../tokenizer.json\"}]}", ERR_INVALID, "'../tokenizer.json' would leave its folder" },
        { "{\"siblings\":[{\"rfilename\":\"a\\u0000/x.model\"}]}", ERR_INVALID, "would leave its folder" },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct arena arena;
        struct hub_list l;
        struct err err = { 0 };

        assert_int_equal(parse(ROWS[i].text, &arena, &l, &err), ROWS[i].code);
        assert_non_null(strstr(err.message, ROWS[i].message));
        assert_null(l.names);
        arena_fini(&arena);
    }
}

static void nothing_at_all_is_a_list_of_no_files(void **state)
{
    static const char *const ROWS[] = { "{}", "{\"siblings\":null}", "{\"siblings\":{}}", "{\"siblings\":[]}", "{\"sha\":null}" };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct arena arena;
        struct hub_list l;

        assert_int_equal(parse(ROWS[i], &arena, &l, NULL), 0);
        assert_true(l.n == 0 && l.files == 0 && l.commit[0] == 0);
        assert_false(hub_list_has_tokenizer(&l));
        arena_fini(&arena);
    }
}

static void more_files_than_the_bound_are_refused(void **state)
{
    struct buf text = { 0 };
    struct arena arena;
    struct hub_list l;

    buf_puts(&text, "{\"siblings\":[{}");
    for (unsigned i = 0; i <= HUB_FILES_MAX; i++)
        buf_printf(&text, ",{\"rfilename\":\"%u.model\"}", i);
    buf_puts(&text, "]}");
    buf_put_char(&text, 0);
    assert_int_equal(parse(text.p, &arena, &l, NULL), ERR_LIMIT);
    arena_fini(&arena);
    buf_fini(&text);
}

static void a_list_is_whole_or_out_of_memory(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct arena arena;
        struct hub_list l;
        int st = parse("{\"siblings\":[{\"rfilename\":\"token\\u0069zer.json\"}]}", &arena, &l, NULL);

        assert_true(st == 0 || (st == ERR_NOMEM && fail_alloc_failed()));
        assert_int_equal(l.n, st == 0 ? 1 : 0);
        arena_fini(&arena);
    }
}

static struct str folder_of_names(struct str *names, size_t n)
{
    return hub_list_folder(&(struct hub_list){ .names = names, .n = n });
}

static void the_top_folder_goes_before_the_first_one_with_a_tokenizer(void **state)
{
    struct str top[] = { STR("original/tokenizer.model"), STR("tokenizer_config.json"), STR("tokenizer.json") };
    struct str below[] = { STR("config.json"), STR("x/special_tokens_map.json"), STR("tok/en/vocab.json"),
                           STR("tok/en/merges.txt") };
    struct str none[] = { STR("config.json"), STR("a/vocab.json"), STR("b/merges.txt"), STR("tokenizer_config.json") };

    assert_str(folder_of_names(top, 3), "");
    assert_str(folder_of_names(below, 4), "tok/en");
    assert_str(folder_of_names(none, 4), "");
    assert_false(hub_list_has_tokenizer(&(struct hub_list){ .names = none, .n = 4 }));
    assert_true(hub_list_has_tokenizer(&(struct hub_list){ .names = below, .n = 4 }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_filter_of_the_spec),
        cmocka_unit_test(a_source_is_a_name_and_perhaps_a_revision),
        cmocka_unit_test(other_sources_are_refused_by_name),
        cmocka_unit_test(a_safe_name_stays_below_its_folder),
        cmocka_unit_test(a_commit_is_forty_or_sixty_four_digits),
        cmocka_unit_test(a_list_keeps_what_is_wanted),
        cmocka_unit_test(a_list_that_is_none_is_refused_with_the_reason),
        cmocka_unit_test(nothing_at_all_is_a_list_of_no_files),
        cmocka_unit_test(more_files_than_the_bound_are_refused),
        cmocka_unit_test(a_list_is_whole_or_out_of_memory),
        cmocka_unit_test(the_top_folder_goes_before_the_first_one_with_a_tokenizer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
