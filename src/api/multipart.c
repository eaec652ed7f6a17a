/* api/multipart.c -- multipart/form-data bodies
 *
 *    "--" boundary CRLF  header CRLF CRLF  data CRLF "--" boundary CRLF ... CRLF "--" boundary "--"
 */
#include "api/multipart.h"

#include <string.h>

/* The value of PARAMETER in "type; a=b; c="d;e"". Quotes are taken off, escapes stay. */
static struct str parameter_of(struct str value, struct str parameter)
{
    size_t i = 0;

    while (i < value.n) {
        struct str name, rest;
        size_t end;

        while (i < value.n && value.p[i] != ';')
            i++;
        rest = str_trim(str_skip(value, MIN(i + 1, value.n)));
        if (!str_split(rest, '=', &name, &rest))
            return STR_NONE;
        rest = str_trim(rest);
        if (rest.n && rest.p[0] == '"') {
            for (end = 1; end < rest.n && rest.p[end] != '"'; end++)
                end += rest.p[end] == '\\';
            if (end >= rest.n)
                return STR_NONE;
            if (str_eq_nocase(str_trim(name), parameter))
                return (struct str){ rest.p + 1, end - 1 };
            end++;
        } else {
            for (end = 0; end < rest.n && rest.p[end] != ';'; end++)
                ;
            if (str_eq_nocase(str_trim(name), parameter))
                return str_trim(str_first(rest, end));
        }
        i = (size_t)(rest.p - value.p) + end;
    }
    return STR_NONE;
}

/* RFC 2046 5.1.1: bchars, and no blank at the end. */
static bool is_boundary(struct str s)
{
    static const char OTHERS[] = "'()+_,-./:=? ";

    if (s.n == 0 || s.n > BOUNDARY_MAX || s.p[s.n - 1] == ' ')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') && (c == 0 || !strchr(OTHERS, c)))
            return false;
    }
    return true;
}

struct str multipart_boundary(struct str content_type)
{
    struct str type, rest, boundary;

    if (!str_split(content_type, ';', &type, &rest) || !str_eq_nocase(str_trim(type), STR("multipart/form-data")))
        return STR_NONE;
    boundary = parameter_of(content_type, STR("boundary"));
    return is_boundary(boundary) ? boundary : STR_NONE;
}

/* ---- the body ---- */

struct reader {
    struct str left; /* behind what was read */
    struct str boundary;
};

/* Takes "--" boundary at the front of LEFT and what ends its line. *LAST: it was the closing one. */
static bool take_delimiter(struct reader *r, bool *last)
{
    struct str s = r->left;

    if (!str_has_prefix(s, STR("--")) || !str_has_prefix(str_skip(s, 2), r->boundary))
        return false;
    s = str_skip(s, 2 + r->boundary.n);
    *last = str_has_prefix(s, STR("--"));
    if (*last)
        s = str_skip(s, 2);
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) /* transport padding */
        s = str_skip(s, 1);
    if (str_has_prefix(s, STR("\r\n")))
        s = str_skip(s, 2);
    else if (!*last)
        return false;
    r->left = s;
    return true;
}

/* Up to the next CRLF "--" boundary, whose "--" LEFT then begins with. */
static bool take_data(struct reader *r, struct str *ret)
{
    char mark[4 + BOUNDARY_MAX] = "\r\n--";
    const char *at;

    memcpy(mark + 4, r->boundary.p, r->boundary.n);
    at = memmem(r->left.p, r->left.n, mark, 4 + r->boundary.n);
    if (!at)
        return false;
    *ret = str_range(r->left.p, at);
    r->left = str_skip(r->left, ret->n + 2);
    return true;
}

static void read_field(struct str line, struct multipart_part *part)
{
    struct str name, value;

    if (!str_split(line, ':', &name, &value))
        return;
    value = str_trim(value);
    if (str_eq_nocase(name, STR("content-disposition"))) {
        part->name = parameter_of(value, STR("name"));
        part->filename = parameter_of(value, STR("filename"));
    } else if (str_eq_nocase(name, STR("content-type"))) {
        part->content_type = value;
    }
}

/* The header lines and the empty one behind them. */
static int take_head(struct reader *r, struct multipart_part *part, struct err *err)
{
    const char *begin = r->left.p;

    for (;;) {
        const char *at = memmem(r->left.p, MIN(r->left.n, MULTIPART_HEAD_MAX), "\r\n", 2);
        struct str line;

        if (!at || at - begin > MULTIPART_HEAD_MAX)
            return err_set(err, at || r->left.n > MULTIPART_HEAD_MAX ? ERR_LIMIT : ERR_INVALID,
                           "a part's header does not end within %d bytes", MULTIPART_HEAD_MAX);
        line = str_range(r->left.p, at);
        r->left = str_skip(r->left, line.n + 2);
        if (line.n == 0)
            return 0;
        read_field(line, part);
    }
}

int multipart_read(struct str body, struct str boundary, struct multipart *ret, struct err *err)
{
    struct reader r = { .left = body, .boundary = boundary };
    bool last;
    int status;

    ret->n = 0;
    while (str_has_prefix(r.left, STR("\r\n")))
        r.left = str_skip(r.left, 2);
    if (!take_delimiter(&r, &last))
        return err_set(err, ERR_INVALID, "the body does not begin with its boundary");
    while (!last) {
        struct multipart_part *part = &ret->parts[ret->n];

        if (ret->n == MULTIPART_PARTS_MAX)
            return err_set(err, ERR_LIMIT, "more than %d parts", MULTIPART_PARTS_MAX);
        *part = (struct multipart_part){ 0 };
        status = take_head(&r, part, err);
        if (status < 0)
            return status;
        if (part->name.n == 0)
            return err_set(err, ERR_INVALID, "a part has no name");
        if (!take_data(&r, &part->data) || !take_delimiter(&r, &last))
            return err_set(err, ERR_INVALID, "a part does not end with the boundary");
        ret->n++;
    }
    return 0;
}

const struct multipart_part *multipart_find(const struct multipart *m, struct str name)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_eq(m->parts[i].name, name))
            return &m->parts[i];
    return NULL;
}
