/* reading.h -- requests as the tests of api/ write them: JSON with ' in place of ", and tables of rows {body, what is said, about what} */
#pragma once

#include <stdlib.h>

#include "api/request.h"
#include "test.h"

#define SHAPE "Invalid JSON data: Failed to deserialize the JSON body into the target type: "

struct row {
    const char *body;
    const char *message; /* NULL = accepted; "SHAPE..." texts are compared up to " at line" */
    const char *param;
};

/* BODY with its quotes turned, in the arena and followed by a NUL. */
static inline struct str quoted(struct arena *arena, const char *body)
{
    struct str s = arena_str(arena, str_of(body));

    assert_non_null(s.p);
    for (char *p = (char *)s.p; *p; p++)
        if (*p == '\'')
            *p = '"';
    return s;
}

static inline struct str without_position(struct str message)
{
    size_t at = str_has_prefix(message, STR(SHAPE)) ? str_find(message, STR(" at line ")) : STR_NPOS;

    return at == STR_NPOS ? message : str_first(message, at);
}

static inline void check_rows(enum api_kind kind, const struct row *rows, size_t n)
{
    for (const struct row *row = rows; row < rows + n; row++) {
        struct arena arena;
        struct api_request request;
        struct api_error error;

        arena_init(&arena, NULL, 0);
        int r = api_request_read(kind, quoted(&arena, row->body), &arena, &request, &error);
        if ((r == 0) != (row->message == NULL))
            fail_msg("%s\n  was %s: %.*s", row->body, r == 0 ? "accepted" : "refused", r == 0 ? 0 : STR_FMT(error.message));
        if (row->message) {
            assert_int_equal(r, ERR_INVALID);
            assert_int_equal(error.status, 400);
            assert_str(without_position(error.message), row->message);
            assert_str(error.param, row->param);
            assert_str(error.code, str_has_prefix(error.message, STR(SHAPE)) ? "json_parse_error" : "");
        }
        arena_fini(&arena);
    }
}

#define CHECK_ROWS(kind, rows) check_rows((kind), (rows), ARRAY_LEN(rows))
