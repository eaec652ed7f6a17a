/* router.c -- which route a method and a path find, and what the others are told */
#include "test.h"

#include "http/server.h"

static void handler(struct exchange *ex, void *context)
{
}

static const struct route ROUTES[] = {
    { .method = HTTP_POST, .path = "/workers", .handler = handler },
    { .method = HTTP_GET, .path = "/workers", .handler = handler },
    { .method = HTTP_GET, .path = "/workers/{worker_id}", .handler = handler },
    { .method = HTTP_PUT, .path = "/workers/{worker_id}", .handler = handler },
    { .method = HTTP_DELETE, .path = "/workers/{worker_id}", .handler = handler },
    { .method = HTTP_GET, .path = "/workers/special", .handler = handler },
    { .method = HTTP_GET, .path = "/a/{x}/b/{y}", .handler = handler },
    { .method = HTTP_HEAD, .path = "/probe", .handler = handler },
    { .method = HTTP_GET, .path = "/probe", .handler = handler },
    { .method = HTTP_GET, .path = "/", .handler = handler },
};

static struct router *router;
static struct exchange ex;

static int make(void **state)
{
    return router_new(ROUTES, ARRAY_LEN(ROUTES), &router, NULL);
}

static int unmake(void **state)
{
    router_free(router);
    return 0;
}

static void find(enum http_method method, const char *path)
{
    ex = (struct exchange){ .route_label = "other" };
    arena_init(&ex.arena, NULL, 0);
    ex.req.method = method;
    ex.req.path = str_of(path);
    router_find(router, &ex);
}

static void done(void)
{
    arena_fini(&ex.arena);
}

static void finds_what_the_table_says(void **state)
{
    static const struct {
        enum http_method method;
        const char *path;
        int route; /* index, or -1 */
        const char *label, *allow, *first, *second;
    } rows[] = {
        { HTTP_POST, "/workers", 0, "/workers", "", "", "" },
        { HTTP_GET, "/workers", 1, "/workers", "", "", "" },
        { HTTP_HEAD, "/workers", 1, "/workers", "", "", "" },
        { HTTP_DELETE, "/workers", -1, "/workers", "POST,GET,HEAD", "", "" },
        { HTTP_OTHER, "/workers", -1, "/workers", "POST,GET,HEAD", "", "" },
        { HTTP_GET, "/workers/", -1, "other", "", "", "" },
        { HTTP_GET, "/Workers", -1, "other", "", "", "" },
        { HTTP_GET, "/workers/1", 2, "/workers/{worker_id}", "", "1", "" },
        { HTTP_PUT, "/workers/a%2Fb%20c", 3, "/workers/{worker_id}", "", "a/b c", "" },
        { HTTP_PATCH, "/workers/1", -1, "/workers/{worker_id}", "GET,HEAD,PUT,DELETE", "1", "" },
        { HTTP_GET, "/workers/1/", -1, "other", "", "", "" },
        { HTTP_GET, "/workers/1/2", -1, "other", "", "", "" },
        { HTTP_GET, "/workers/special", 5, "/workers/special", "", "", "" },
        { HTTP_PUT, "/workers/special", -1, "/workers/special", "GET,HEAD", "", "" },
        { HTTP_GET, "/a/1/b/2", 6, "/a/{x}/b/{y}", "", "1", "2" },
        { HTTP_GET, "/a//b/2", -1, "other", "", "", "" },
        { HTTP_GET, "/a/1/c/2", -1, "other", "", "", "" },
        { HTTP_HEAD, "/probe", 7, "/probe", "", "", "" },
        { HTTP_GET, "/probe", 8, "/probe", "", "", "" },
        { HTTP_GET, "/", 9, "/", "", "", "" },
        { HTTP_GET, "", -1, "other", "", "", "" },
        { HTTP_OPTIONS, "*", -1, "other", "", "", "" },
        { HTTP_GET, "/a", -1, "other", "", "", "" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        find(rows[i].method, rows[i].path);
        if (rows[i].route < 0)
            assert_null(ex.route);
        else
            assert_ptr_equal(ex.route, &ROUTES[rows[i].route]);
        assert_string_equal(ex.route_label, rows[i].label);
        assert_str(ex.route_allow, rows[i].allow);
        assert_str(ex.params[0], rows[i].first);
        assert_str(ex.params[1], rows[i].second);
        done();
    }
}

static void a_parameter_with_a_wrong_escape_is_none(void **state)
{
    static const char *const paths[] = { "/workers/%zz", "/workers/%", "/workers/%ff" };

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        find(HTTP_GET, paths[i]);
        assert_non_null(ex.route);
        assert_null(ex.params[0].p);
        assert_false(ex.arena.failed);
        done();
    }
}

static void a_wrong_table_is_refused_with_the_reason(void **state)
{
    static const struct {
        struct route routes[2];
        const char *says;
    } rows[] = {
        { { { .method = HTTP_GET, .path = "/x", .handler = handler }, { .method = HTTP_GET, .path = "/x", .handler = handler } },
          "twice" },
        { { { .method = HTTP_GET, .path = "x", .handler = handler }, { .method = HTTP_GET, .path = "/x", .handler = handler } },
          "begins with" },
        { { { .method = HTTP_GET, .path = "/y" }, { .method = HTTP_GET, .path = "/x", .handler = handler } }, "handler" },
        { { { .method = HTTP_GET, .path = "/{a}/{b}/{c}", .handler = handler },
            { .method = HTTP_GET, .path = "/x", .handler = handler } },
          "at most 2" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct router *r = NULL;
        struct err err = { 0 };

        assert_true(router_new(rows[i].routes, 2, &r, &err) < 0);
        assert_null(r);
        assert_non_null(strstr(err.message, rows[i].says));
    }
}

static void an_empty_table_finds_nothing(void **state)
{
    struct router *r = NULL;

    assert_int_equal(router_new(NULL, 0, &r, NULL), 0);
    ex = (struct exchange){ .route_label = "other", .req.path = STR("/") };
    router_find(r, &ex);
    assert_null(ex.route);
    router_free(r);
    router_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_the_table_says),
        cmocka_unit_test(a_parameter_with_a_wrong_escape_is_none),
        cmocka_unit_test(a_wrong_table_is_refused_with_the_reason),
        cmocka_unit_test(an_empty_table_finds_nothing),
    };

    return cmocka_run_group_tests(tests, make, unmake);
}
