/* say.c -- reading `mock_say` */
#include "mock/say.h"

static int wrong(struct err *err)
{
    return err_set(err, ERR_INVALID,
                   "mock_say: expected an array of texts, or an array of arrays of texts, each with at least one");
}

static int read_pieces(struct json pieces, struct arena *arena, struct say *ret, struct err *err)
{
    struct json_iter it = json_iter(pieces);
    size_t bytes = 0, n = json_count(pieces), at = 0;
    char *text;

    if (!json_is(pieces, JSON_ARRAY) || n == 0)
        return wrong(err);
    while (json_next(&it)) {
        if (!json_is(it.value, JSON_STRING))
            return wrong(err);
        bytes += json_raw_str(it.value).n;
    }
    text = arena_alloc(arena, bytes);
    ret->ends = arena_array(arena, n, sizeof(*ret->ends));
    if (!text || !ret->ends)
        return err_set(err, ERR_NOMEM, "out of memory");
    it = json_iter(pieces);
    for (size_t i = 0; json_next(&it); i++) {
        struct str piece = json_raw_str(it.value);

        if (piece.n)
            memcpy(text + at, piece.p, piece.n);
        ret->ends[i] = at += piece.n;
    }
    ret->text = (struct str){ text, bytes };
    ret->n = n;
    return 0;
}

int say_read(struct json v, struct arena *arena, struct say **ret, size_t *ret_n, struct err *err)
{
    bool several = json_is(json_at(v, 0), JSON_ARRAY);
    struct json_iter it = json_iter(v);
    size_t n = several ? json_count(v) : 1;
    struct say *says;
    int r = 0;

    *ret_n = 0;
    if (json_is_null(v))
        return 0;
    says = arena_array(arena, n, sizeof(*says));
    if (!says)
        return err_set(err, ERR_NOMEM, "out of memory");
    if (!several)
        r = read_pieces(v, arena, says, err);
    for (size_t i = 0; several && r == 0 && json_next(&it); i++)
        r = read_pieces(it.value, arena, &says[i], err);
    if (r < 0)
        return r;
    *ret = says;
    *ret_n = n;
    return 0;
}
