/* workers.c -- /workers as a client sees it (spec control-plane 3.1, 7, 18.1 to 18.5; cases of its section 20 by number) */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "worker/house.h"

#include "admin/admin.h"

static struct engine *engine;
static struct admin admin;
static struct router *router;
static struct http_server *server;
static uint16_t port;
static void *contexts[1] = { &admin };

static const struct route ROUTES[] = {
    { HTTP_POST, "/workers", ROUTE_ADMIN, ROUTE_BODY_BUFFER, ROUTE_ERRORS_WORKERS, admin_add_worker, 0, NULL },
    { HTTP_GET, "/workers", ROUTE_ADMIN, ROUTE_BODY_NONE, ROUTE_ERRORS_WORKERS, admin_list_workers, 0, NULL },
    { HTTP_GET, "/workers/{worker_id}", ROUTE_ADMIN, ROUTE_BODY_NONE, ROUTE_ERRORS_WORKERS, admin_get_worker, 0, NULL },
    { HTTP_PUT, "/workers/{worker_id}", ROUTE_ADMIN, ROUTE_BODY_BUFFER, ROUTE_ERRORS_WORKERS, admin_replace_worker, 0, NULL },
    { HTTP_PATCH, "/workers/{worker_id}", ROUTE_ADMIN, ROUTE_BODY_BUFFER, ROUTE_ERRORS_WORKERS, admin_update_worker, 0, NULL },
    { HTTP_DELETE, "/workers/{worker_id}", ROUTE_ADMIN, ROUTE_BODY_NONE, ROUTE_ERRORS_WORKERS, admin_remove_worker, 0, NULL },
};

static void open_server(void *arg)
{
    struct http_server_conf conf = { .router = router, .contexts = contexts };
    struct net_address address;

    (void)arg;
    assert_int_equal(http_server_new(house.front, &conf, &server), 0);
    assert_int_equal(net_address_parse(STR("127.0.0.1"), 0, &address), 0);
    assert_int_equal(http_server_listen(server, &address, LISTENER_ALONE, &port, NULL), 0);
}

static void close_server(void *arg)
{
    (void)arg;
    http_server_close(server);
    http_server_free(STEAL(server));
}

static int set_up(void **state)
{
    struct registry_conf conf = house_conf();

    house_open(&conf);
    engine = an_engine(0);
    engine_start(engine);
    admin = (struct admin){ .registry = house.registry };
    assert_int_equal(router_new(ROUTES, ARRAY_LEN(ROUTES), &router, NULL), 0);
    house_do(house.front, open_server, NULL);
    return 0;
}

static int tear_down(void **state)
{
    house_do(house.front, close_server, NULL);
    house_close();
    router_free(router);
    return 0;
}

/* ---- a blocking client ---- */

static struct {
    char text[4 << 20]; /* head and body, chunks joined */
    size_t n;
    unsigned status;
    const char *body;
    unsigned long largest_chunk;
    unsigned chunks;
} heard;

static int connect_to(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void say(int fd, const char *method, const char *path, const char *type, const char *body)
{
    static char text[2 << 20];
    int n = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nhost: a\r\nconnection: close\r\n%s%s%scontent-length: %zu\r\n\r\n%s",
                     method, path, type[0] ? "content-type: " : "", type, type[0] ? "\r\n" : "", strlen(body), body);

    assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
}

/* Joins the chunks of heard.body in place. */
static void dechunk(char *p)
{
    char *out = p;
    unsigned long n;

    while ((n = strtoul(p, &p, 16)) > 0) {
        p += 2;
        heard.chunks++;
        heard.largest_chunk = MAX(heard.largest_chunk, n);
        memmove(out, p, n);
        out += n;
        p += n + 2;
    }
    *out = 0;
}

static void hear(int fd)
{
    char *body;
    ssize_t n;

    heard.n = heard.chunks = heard.largest_chunk = 0;
    while ((n = recv(fd, heard.text + heard.n, sizeof heard.text - 1 - heard.n, 0)) > 0)
        heard.n += (size_t)n;
    close(fd);
    heard.text[heard.n] = 0;
    assert_int_equal(sscanf(heard.text, "HTTP/1.1 %u", &heard.status), 1);
    body = strstr(heard.text, "\r\n\r\n");
    assert_non_null(body);
    *body = 0;
    heard.body = body + 4;
    if (strstr(heard.text, "transfer-encoding: chunked"))
        dechunk(body + 4);
}

static void call(const char *method, const char *path, const char *type, const char *body)
{
    int fd = connect_to();

    say(fd, method, path, type, body);
    hear(fd);
}

static void post(const char *body)
{
    call("POST", "/workers", "application/json", body);
}

static void get(const char *path)
{
    call("GET", path, "", "");
}

static void expect(unsigned status, const char *body)
{
    assert_string_equal(heard.body, body);
    assert_int_equal(heard.status, status);
}

/* The worker_id of the last 202. */
static char *accepted(void)
{
    static char id[UUID_TEXT_LEN + 1];
    const char *at = strstr(heard.body, "\"worker_id\":\"");

    assert_int_equal(heard.status, 202);
    assert_non_null(at);
    snprintf(id, sizeof id, "%s", at + strlen("\"worker_id\":\""));
    return id;
}

static char *url_of_engine(void)
{
    static char url[64];

    snprintf(url, sizeof url, "http://127.0.0.1:%u", engine->port);
    return url;
}

static char *with_url(const char *format)
{
    static char text[1024];

    snprintf(text, sizeof text, format, url_of_engine());
    return text;
}

static char *path_of(const char *id)
{
    static char path[128];

    snprintf(path, sizeof path, "/workers/%s", id);
    return path;
}

/* ---- bodies ---- */

static void case_10_to_14_bodies_that_are_no_worker_are_refused(void **state)
{
    static const struct {
        const char *type, *body;
        unsigned status;
        const char *code, *message;
    } CASES[] = {
        { "", "{}", 415, "unsupported_media_type", "Expected request with `Content-Type: application/json`" },
        { "text/json", "{}", 415, "unsupported_media_type", "Expected request with `Content-Type: application/json`" },
        { "application/json", "", 400, "json_parse_error",
          "Failed to parse the request body as JSON: EOF while parsing a value at line 1 column 0" },
        { "application/json; charset=utf-8", "{invalid json}", 400, "json_parse_error",
          "Failed to parse the request body as JSON: key must be a string at line 1 column 2" },
        { "application/json", "{\"url\":\"http://a:1\"} x", 400, "json_parse_error",
          "Failed to parse the request body as JSON: trailing characters at line 1 column 22" },
        { "application/cloudevents+json", "{}", 422, "json_data_error",
          "Failed to deserialize the JSON body into the target type: missing field `url` at line 1 column 2" },
        { "APPLICATION/JSON", "{\"url\":5}", 422, "json_data_error",
          "Failed to deserialize the JSON body into the target type: url: invalid type: integer `5`, expected a string at line 1 "
          "column 8" },
    };
    char expected[512];

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        call("POST", "/workers", CASES[i].type, CASES[i].body);
        snprintf(expected, sizeof expected, "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":null,\"code\":\"%s\"}}",
                 CASES[i].message, http_reason(CASES[i].status), CASES[i].code);
        expect(CASES[i].status, expected);
    }
}

static void case_19_to_24_urls_are_checked(void **state)
{
    static const struct {
        const char *url, *reason;
    } CASES[] = {
        { "", "URL cannot be empty" },
        { "10.0.0.5:8000", "URL must start with a lowercase http://, https://, grpc://, grpcs://, or ipc:// scheme" },
        { "HTTP://10.0.0.5:8000", "URL must start with a lowercase http://, https://, grpc://, grpcs://, or ipc:// scheme" },
        { "ipc://", "ipc:// worker URL must include a socket path" },
        { "ftp://h", "URL must start with a lowercase http://, https://, grpc://, grpcs://, or ipc:// scheme" },
    };
    char body[256], expected[256];

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        snprintf(body, sizeof body, "{\"url\":\"%s\"}", CASES[i].url);
        post(body);
        snprintf(expected, sizeof expected,
                 "{\"error\":\"Invalid value for field 'worker_url': %s - %s\",\"code\":\"BAD_REQUEST\"}", CASES[i].url,
                 CASES[i].reason);
        expect(400, expected);
    }
    get("/workers");
    expect(200, "{\"workers\":[],\"total\":0,\"stats\":{\"prefill_count\":0,\"decode_count\":0,\"regular_count\":0}}");
}

static void impossible_values_are_refused(void **state)
{
    post(with_url("{\"url\":\"%s\",\"cost\":-0.5}"));
    expect(400, "{\"error\":\"Invalid value for field 'cost': -0.5 - must not be negative\",\"code\":\"BAD_REQUEST\"}");
}

/* ---- the life of a worker, 18.1 to 18.5 ---- */

static void case_25_28_35_a_worker_is_added_shown_and_removed(void **state)
{
    char id[UUID_TEXT_LEN + 1], expected[1024];

    post(with_url("{\"url\":\"%s/\",\"api_key\":\"s3cret-key\"}"));
    memcpy(id, accepted(), sizeof id);
    snprintf(expected, sizeof expected,
             "{\"status\":\"accepted\",\"worker_id\":\"%s\",\"url\":\"%s\",\"location\":\"/workers/%s\",\"message\":\"Worker "
             "addition queued for background "
             "processing\"}",
             id, url_of_engine(), id);
    expect(202, expected);
    snprintf(expected, sizeof expected, "location: /workers/%s\r\n", id);
    strcat(heard.text, "\r\n");
    assert_non_null(strstr(heard.text, expected));

    wait_until(is_ready, id, 1000);
    get(path_of(id));
    snprintf(expected, sizeof expected,
             "{\"id\":\"%s\",\"model_id\":\"m1\",\"url\":\"%s\",\"models\":[{\"id\":\"m1\",\"model_type\":[\"chat\","
             "\"completions\",\"responses\",\"tools\"]}],"
             "\"worker_type\":\"regular\",\"connection_mode\":\"http\",\"runtime_type\":\"sglang\",\"labels\":{\"model_path\":"
             "\"org/m1\","
             "\"served_model_name\":\"m1\",\"tp_size\":\"2\",\"version\":\"0.5\",\"is_generation\":\"true\"},\"priority\":50,"
             "\"cost\":1.0,\"has_api_key\":true,"
             "\"max_connection_attempts\":20,\"is_healthy\":true,\"status\":\"ready\",\"load\":0}",
             id, url_of_engine());
    expect(200, expected);

    get("/workers");
    assert_non_null(strstr(heard.body, "{\"workers\":[{\"id\":"));
    assert_non_null(strstr(heard.body, "],\"total\":1,\"stats\":{\"prefill_count\":0,\"decode_count\":0,\"regular_count\":1}}"));
    assert_null(strstr(heard.body, "s3cret-key"));

    post(with_url("{\"url\":\"%s\"}"));
    snprintf(expected, sizeof expected,
             "{\"error\":\"Worker already exists at URL '%s' with ID %s. Use PUT /workers/%s to replace or PATCH /workers/%s to "
             "update.\",\"code\":"
             "\"WORKER_ALREADY_EXISTS\"}",
             url_of_engine(), id, id, id);
    expect(409, expected);

    call("DELETE", path_of(id), "", "");
    snprintf(expected, sizeof expected,
             "{\"status\":\"accepted\",\"worker_id\":\"%s\",\"message\":\"Worker removal queued for background processing\"}", id);
    expect(202, expected);
    wait_until(is_gone, id, 1000);
    get(path_of(id));
    snprintf(expected, sizeof expected, "{\"error\":\"Worker %s not found\",\"code\":\"WORKER_NOT_FOUND\"}", id);
    expect(404, expected);
    call("DELETE", path_of(id), "", "");
    expect(404, expected);
}

static void case_27_ids_are_uuids(void **state)
{
    static const struct {
        const char *path, *error;
    } CASES[] = {
        { "/workers/not-a-uuid",
          "Invalid worker_id 'not-a-uuid' (expected UUID). Error: invalid character: expected an optional prefix of `urn:uuid:` "
          "followed by [0-9a-fA-F-], found `n` at 1" },
        { "/workers/1234",
          "Invalid worker_id '1234' (expected UUID). Error: invalid length: expected length 32 for simple format, found 4" },
        { "/workers/a-b", "Invalid worker_id 'a-b' (expected UUID). Error: invalid group count: expected 5, found 2" },
        { "/workers/%3Cworker_id%3E",
          "Invalid worker_id '<worker_id>' (expected UUID). Error: invalid character: expected an optional prefix of `urn:uuid:` "
          "followed by [0-9a-fA-F-], found `<` at 1" },
    };
    char expected[512];

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        snprintf(expected, sizeof expected, "{\"error\":\"%s\",\"code\":\"BAD_REQUEST\"}", CASES[i].error);
        get(CASES[i].path);
        expect(400, expected);
        call("DELETE", CASES[i].path, "", "");
        expect(400, expected);
    }
}

static void any_spelling_of_an_id_finds_the_worker(void **state)
{
    char *id, upper[128];

    post(with_url("{\"url\":\"%s\"}"));
    id = accepted();
    snprintf(upper, sizeof upper, "/workers/%%7B%s%%7D", id);
    for (char *p = strstr(upper, "7B") + 2; *p != '%'; p++)
        if (*p >= 'a' && *p <= 'f')
            *p -= 32;
    get(upper);
    assert_int_equal(heard.status, 200);
}

/* ---- lists ---- */

static void add_and_wait(const char *format)
{
    char id[UUID_TEXT_LEN + 1];

    post(with_url(format));
    memcpy(id, accepted(), sizeof id);
    wait_until(is_ready, id, 2000);
}

static unsigned total(void)
{
    const char *at = strstr(heard.body, "\"total\":");

    assert_non_null(at);
    return (unsigned)strtoul(at + 8, NULL, 10);
}

static void case_34_lists_are_filtered_and_counted(void **state)
{
    engine->status[E_MODELS] = engine->status[E_SERVER_INFO] = engine->status[E_MODEL_INFO] = 0;
    add_and_wait("{\"url\":\"%s/a\",\"models\":[{\"id\":\"x y\",\"aliases\":[\"xx\"]}],\"worker_type\":\"prefill\"}");
    add_and_wait("{\"url\":\"%s/b\",\"models\":[{\"id\":\"y\"}],\"worker_type\":\"encode\"}");
    add_and_wait("{\"url\":\"%s/c\"}");
    static const struct {
        const char *path;
        unsigned total;
        const char *stats;
    } CASES[] = {
        { "/workers", 3, "{\"prefill_count\":1,\"decode_count\":0,\"regular_count\":1,\"encode_count\":1}}" },
        { "/workers?model=x%20y", 2, "{\"prefill_count\":1,\"decode_count\":0,\"regular_count\":1}}" },
        { "/workers?model=x+y", 2, "{\"prefill_count\":1,\"decode_count\":0,\"regular_count\":1}}" },
        { "/workers?model=xx", 2, "{\"prefill_count\":1,\"decode_count\":0,\"regular_count\":1}}" },
        { "/workers?model=none", 1, "{\"prefill_count\":0,\"decode_count\":0,\"regular_count\":1}}" },
        { "/workers?model=", 1, "{\"prefill_count\":0,\"decode_count\":0,\"regular_count\":1}}" },
        { "/workers?other=1", 3, "" },
        { "/workers?worker_type=encode", 1, "" },
        { "/workers?status=ready", 3, "" },
        { "/workers?status=failed&worker_type=encode", 0, "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        get(CASES[i].path);
        assert_int_equal(heard.status, 200);
        assert_int_equal(total(), CASES[i].total);
        assert_non_null(strstr(heard.body, CASES[i].stats));
    }
    get("/workers?model=x&model=y");
    expect(400, "{\"error\":\"Failed to deserialize query string: duplicate field `model`\",\"code\":\"BAD_REQUEST\"}");
    get("/workers?status=well");
    expect(400, "{\"error\":\"Failed to deserialize query string: unknown value `well` for `status`\",\"code\":\"BAD_REQUEST\"}");
}

#define MANY 4000

static _Atomic unsigned answered_n;

static void on_one_of_many(struct registry_command *c)
{
    assert_int_equal(c->result, 0);
    registry_command_free(c);
    atomic_fetch_add(&answered_n, 1);
}

/* All of them in one turn: workers that need no engine, told apart by their priority. */
static void add_many(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < MANY; i++) {
        struct registry_command *c = registry_command_new(house.registry, house.front, REGISTRY_ADD);
        struct json_doc doc;
        struct str text;

        text = arena_printf(
            &c->arena, "{\"url\":\"http://127.0.0.1:1/w%u\",\"runtime\":\"external\",\"models\":[{\"id\":\"m\"}],\"priority\":%u}",
            i, 1000 + i);
        assert_int_equal(json_parse(text, &c->arena, &doc, NULL), 0);
        assert_int_equal(worker_spec_read(&doc, &c->arena, &c->spec, NULL), 0);
        c->answered = on_one_of_many;
        registry_command_post(c);
    }
}

static bool has_many(void *arg)
{
    (void)arg;
    return registry_counts(house.registry).ready == MANY && atomic_load(&answered_n) == MANY;
}

static void open_many(void)
{
    atomic_store(&answered_n, 0);
    house_do(house.front, add_many, NULL);
    wait_until(has_many, NULL, 20000);
}

/* The first N of open_many, each once and in order of registration. */
static void expect_first(unsigned n)
{
    const char *at = heard.body;

    for (unsigned i = 0; i < n; i++) {
        char mark[32];

        snprintf(mark, sizeof mark, "\"priority\":%u,", 1000 + i);
        at = strstr(at, "\"priority\":");
        assert_non_null(at);
        assert_memory_equal(at, mark, strlen(mark));
        at += strlen(mark);
    }
}

static void a_list_of_4000_comes_in_turns_complete_and_in_order(void **state)
{
    open_many();
    get("/workers");
    assert_int_equal(heard.status, 200);
    assert_int_equal(total(), MANY);
    assert_true(heard.chunks > 20);
    assert_true(heard.largest_chunk <= 64 << 10);
    expect_first(MANY);
}

static void reclaim(void *arg)
{
    *(size_t *)arg = snapshot_reclaim();
}

static bool is_one_less(void *arg)
{
    (void)arg;
    return registry_counts(house.registry).total == MANY - 1;
}

static bool nothing_is_retired(void *arg)
{
    size_t left;

    (void)arg;
    house_do(house.control, reclaim, &left);
    return left == 0;
}

static void last_of_many(void *id)
{
    const struct worker_table *t = registry_table(house.registry, house.front);

    memcpy(id, t->workers[MANY - 1]->id, UUID_TEXT_LEN + 1);
}

static void a_long_list_that_nobody_reads_holds_no_table_and_nobody_up(void **state)
{
    char last[UUID_TEXT_LEN + 1];
    int slow;

    open_many();
    house_do(house.front, last_of_many, last);
    slow = connect_to();
    say(slow, "GET", "/workers", "", "");
    call("DELETE", path_of(last), "", "");
    assert_int_equal(heard.status, 202);
    wait_until(is_one_less, NULL, 5000);
    wait_until(nothing_is_retired, NULL, 5000);
    get(path_of(last));
    assert_int_equal(heard.status, 404);
    hear(slow);
    assert_true(total() >= MANY - 1);
    expect_first(MANY - 1);
}

static void a_worker_larger_than_a_turn_is_listed_whole(void **state)
{
    static char body[70000];
    char id[UUID_TEXT_LEN + 1];
    int n = snprintf(body, sizeof body, "{\"url\":\"%s\",\"labels\":{\"long\":\"", url_of_engine());

    memset(body + n, 'x', 66000);
    strcpy(body + n + 66000, "\"}}");
    post(body);
    memcpy(id, accepted(), sizeof id);
    struct registry_counts c = { 0 };
    for (int i = 0; i < 400 && c.ready == 0; i++, c = registry_counts(house.registry))
        nap(5);
    get("/workers");
    assert_int_equal(total(), 1);
    assert_true(strlen(heard.body) > 66000);
    assert_non_null(strstr(heard.body, "\"status\":\"ready\""));
}

static void a_body_too_large_for_a_worker_is_not_even_parsed(void **state)
{
    static char body[(1 << 20) + 2];

    memset(body, '[', sizeof body - 1);
    post(body);
    assert_int_equal(heard.status, 413);
}

/* ---- clients that leave ---- */

static void a_client_that_leaves_breaks_nothing(void **state)
{
    for (unsigned i = 0; i < 50; i++) {
        struct linger reset = { .l_onoff = 1, .l_linger = 0 };
        char body[128];
        int fd = connect_to();

        snprintf(body, sizeof body, "{\"url\":\"%s/w%u\",\"runtime\":\"external\"}", url_of_engine(), i);
        say(fd, "POST", "/workers", "application/json", body);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
        fd = connect_to();
        say(fd, "GET", i % 2 ? "/workers" : "/workers/01234567-89ab-7def-8123-456789abcdef", "", "");
        close(fd);
    }
    add_and_wait("{\"url\":\"%s\"}");
    get("/workers");
    assert_int_equal(heard.status, 200);
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(case_10_to_14_bodies_that_are_no_worker_are_refused),
        RULE(case_19_to_24_urls_are_checked),
        RULE(impossible_values_are_refused),
        RULE(case_25_28_35_a_worker_is_added_shown_and_removed),
        RULE(case_27_ids_are_uuids),
        RULE(any_spelling_of_an_id_finds_the_worker),
        RULE(case_34_lists_are_filtered_and_counted),
        RULE(a_list_of_4000_comes_in_turns_complete_and_in_order),
        RULE(a_long_list_that_nobody_reads_holds_no_table_and_nobody_up),
        RULE(a_worker_larger_than_a_turn_is_listed_whole),
        RULE(a_body_too_large_for_a_worker_is_not_even_parsed),
        RULE(a_client_that_leaves_breaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
