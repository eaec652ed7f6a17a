/* plugin/descriptor.c -- from JSON to descriptors, and the checks of spec wasm-plugins 2.5 in their order */
#include "plugin/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the shape ---- */

static const char *const TYPES[] = { "Middleware", NULL };
static const char *const POINTS[] = { "OnRequest", "OnResponse", "OnError", NULL }; /* enum plugin_point */
static const char *const FAILURES[] = { "allow", "reject", "continue", NULL };

struct attach_row {
    int point;
};
struct module_row {
    struct str name, path;
    int type, on_failure;
    struct json_shape_array attach;
    uint32_t timeout_ms, max_memory_pages;
    bool body, has_timeout, has_pages;
};
struct list_row {
    struct json_shape_array modules;
};

static const struct json_shape_field ATTACH_FIELDS[] = {
    { .name = "Middleware",
      .type = SHAPE_ENUM,
      .names = POINTS,
      .flags = SHAPE_REQUIRED,
      .at = offsetof(struct attach_row, point),
      .at_given = SHAPE_NO_GIVEN },
};
static const struct json_shape ATTACH_SHAPE = { .name = "WasmModuleAttachPoint",
                                                .size = sizeof(struct attach_row),
                                                .fields = ATTACH_FIELDS,
                                                .fields_n = ARRAY_LEN(ATTACH_FIELDS) };

#define AT(member) .at = offsetof(struct module_row, member)
static const struct json_shape_field MODULE_FIELDS[] = {
    { .name = "name", .type = SHAPE_STR, .flags = SHAPE_REQUIRED, AT(name), .at_given = SHAPE_NO_GIVEN },
    { .name = "file_path", .type = SHAPE_STR, .flags = SHAPE_REQUIRED, AT(path), .at_given = SHAPE_NO_GIVEN },
    { .name = "module_type", .type = SHAPE_ENUM, .names = TYPES, .flags = SHAPE_REQUIRED, AT(type), .at_given = SHAPE_NO_GIVEN },
    { .name = "attach_points",
      .type = SHAPE_ARRAY,
      .sub = &ATTACH_SHAPE,
      .flags = SHAPE_REQUIRED,
      AT(attach),
      .at_given = SHAPE_NO_GIVEN },
    { .name = "on_failure",
      .type = SHAPE_ENUM,
      .names = FAILURES,
      .flags = SHAPE_NULLABLE,
      AT(on_failure),
      .at_given = SHAPE_NO_GIVEN },
    { .name = "timeout_ms",
      .type = SHAPE_U32,
      .flags = SHAPE_NULLABLE,
      AT(timeout_ms),
      .at_given = offsetof(struct module_row, has_timeout) },
    { .name = "max_memory_pages",
      .type = SHAPE_U32,
      .flags = SHAPE_NULLABLE,
      AT(max_memory_pages),
      .at_given = offsetof(struct module_row, has_pages) },
    { .name = "body", .type = SHAPE_BOOL, .flags = SHAPE_NULLABLE, AT(body), .at_given = SHAPE_NO_GIVEN },
};
#undef AT

static void module_defaults(void *object)
{
    ((struct module_row *)object)->body = true;
}

/* A zero that was given is a mistake, one that was not is the gateway's value. The descriptor's checks say so, in the workflow's words. */
static int module_check(void *object, struct json value, struct err *err)
{
    struct module_row *m = object;

    (void)value;
    (void)err;
    if (m->has_timeout && m->timeout_ms == 0)
        m->timeout_ms = UINT32_MAX;
    if (m->has_pages && m->max_memory_pages == 0)
        m->max_memory_pages = UINT32_MAX;
    return 0;
}

static const struct json_shape MODULE_SHAPE = { .name = "WasmModuleDescriptor",
                                                .size = sizeof(struct module_row),
                                                .defaults = module_defaults,
                                                .check = module_check,
                                                .fields = MODULE_FIELDS,
                                                .fields_n = ARRAY_LEN(MODULE_FIELDS) };

static const struct json_shape_field LIST_FIELDS[] = {
    { .name = "modules",
      .type = SHAPE_ARRAY,
      .sub = &MODULE_SHAPE,
      .flags = SHAPE_REQUIRED,
      .at = offsetof(struct list_row, modules),
      .at_given = SHAPE_NO_GIVEN },
};
const struct json_shape PLUGIN_LIST_SHAPE = {
    .name = "WasmModuleAddRequest", .size = sizeof(struct list_row), .fields = LIST_FIELDS, .fields_n = ARRAY_LEN(LIST_FIELDS)
};

static int descriptor_of(const struct module_row *m, struct arena *arena, struct plugin_descriptor *d)
{
    const struct attach_row *rows = m->attach.items;
    int *attach = arena_array(arena, m->attach.n + 1, sizeof(*attach));

    if (!attach)
        return ERR_NOMEM;
    for (size_t i = 0; i < m->attach.n; i++)
        attach[i] = rows[i].point;
    *d = (struct plugin_descriptor){ .name = m->name,
                                     .path = m->path,
                                     .attach = attach,
                                     .attach_n = m->attach.n,
                                     .on_failure = m->on_failure == 1 ? PLUGIN_FAILURE_REJECT : PLUGIN_FAILURE_ALLOW,
                                     .timeout_ms = m->timeout_ms,
                                     .max_memory_pages = m->max_memory_pages,
                                     .without_body = !m->body };
    return 0;
}

int plugin_list_read(struct json value, struct arena *arena, struct plugin_list *ret, struct err *err)
{
    struct list_row row;
    const struct module_row *rows;
    struct plugin_list list;
    int r = json_shape_read(value, &PLUGIN_LIST_SHAPE, arena, &row, err);

    if (r < 0)
        return r;
    rows = row.modules.items;
    list = (struct plugin_list){ arena_array(arena, row.modules.n + 1, sizeof(*list.v)), row.modules.n };
    if (!list.v)
        return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    if (list.n > PLUGIN_AT_A_TIME)
        return err_set(err, ERR_LIMIT, "modules: %zu are too many for one request; at most %d", list.n, PLUGIN_AT_A_TIME);
    for (size_t i = 0; i < list.n; i++)
        if (descriptor_of(&rows[i], arena, &list.v[i]) < 0)
            return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    *ret = list;
    return 0;
}

/* ---- checks 1 to 6 ---- */

static const char *const BLOCKED[] = { "/etc/", "/proc/", "/sys/", "/dev/", "/boot/", "/root/", "/var/log/", "/var/run/", "/run/" };

static const char *blocked_prefix(struct str path)
{
    for (size_t i = 0; i < ARRAY_LEN(BLOCKED); i++)
        if (str_has_prefix(path, str_of(BLOCKED[i])))
            return BLOCKED[i];
    return NULL;
}

static bool has_component(struct str path, struct str component)
{
    struct str head, tail = path;

    while (tail.n) {
        (void)str_split(tail, '/', &head, &tail);
        if (str_eq(head, component))
            return true;
    }
    return false;
}

/* The name behind the last slash ends in .wasm and has something in front of it, as Rust's Path::extension sees it. */
static bool is_wasm(struct str path)
{
    size_t slash = str_rfind_char(path, '/');
    struct str file = slash == STR_NPOS ? path : str_skip(path, slash + 1);

    return file.n > 5 && str_eq_nocase(str_skip(file, file.n - 5), STR(".wasm"));
}

static int check_members(const struct plugin_descriptor *d, struct err *err)
{
    if (d->attach_n > PLUGIN_ATTACH_MAX)
        return err_set(err, ERR_INVALID, "attach_points cannot have more than %d entries", PLUGIN_ATTACH_MAX);
    if (d->timeout_ms == UINT32_MAX)
        return err_set(err, ERR_INVALID, "timeout_ms cannot be 0");
    if (d->timeout_ms > PLUGIN_TIMEOUT_MAX)
        return err_set(err, ERR_INVALID, "timeout_ms cannot exceed %dms (5 minutes)", PLUGIN_TIMEOUT_MAX);
    if (d->max_memory_pages == UINT32_MAX)
        return err_set(err, ERR_INVALID, "max_memory_pages cannot be 0");
    if (d->max_memory_pages > PLUGIN_PAGES_MAX)
        return err_set(err, ERR_INVALID, "max_memory_pages cannot exceed %d (4GB)", PLUGIN_PAGES_MAX);
    return 0;
}

int plugin_descriptor_check(const struct plugin_descriptor *d, struct err *err)
{
    struct str path = d->path;
    const char *blocked;

    if (d->name.n == 0)
        return err_set(err, ERR_INVALID, "Module name cannot be empty");
    if (d->name.n > PLUGIN_NAME_MAX)
        return err_set(err, ERR_INVALID, "Module name cannot be longer than %d bytes", PLUGIN_NAME_MAX);
    if (path.n == 0)
        return err_set(err, ERR_INVALID, "Module file path cannot be empty");
    if (path.n >= PLUGIN_PATH_MAX || memchr(path.p, 0, path.n))
        return err_set(err, ERR_INVALID, "Module file path cannot be longer than %d bytes, or contain NUL", PLUGIN_PATH_MAX - 1);
    if (path.p[0] != '/')
        return err_set(err, ERR_INVALID, "Module file path must be absolute, got: %.*s", STR_FMT(str_first(path, 300)));
    if (has_component(path, STR("..")))
        return err_set(err, ERR_INVALID, "Path traversal (..) not allowed in module file path");
    if (!is_wasm(path))
        return err_set(err, ERR_INVALID, "Module file must have .wasm extension");
    blocked = blocked_prefix(path);
    if (blocked)
        return err_set(err, ERR_INVALID, "Access to %s directory is not allowed", blocked);
    return check_members(d, err);
}

/* ---- checks 7 to 11, and the bytes ---- */

/* Rust's form of an operating system's error: "No such file or directory (os error 2)". */
static int os_error(struct err *err, const char *what, const char *path, int number)
{
    int shown = 300; /* bytes of a path; the message has a bound */

    return err_set(err, err_from_errno(-number), "%s %.*s: %s (os error %d)", what, shown, path, strerror(number), number);
}

/* What the open file really is: the kernel's word, so that nobody can exchange it between a look and the reading. */
static int check_place(int fd, const char *path, struct err *err)
{
    char link[64], real[PATH_MAX];
    ssize_t n;
    const char *blocked;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, real, sizeof real - 1);
    if (n < 0) { /* no /proc: the name has to do */
        if (!realpath(path, real))
            return os_error(err, "Failed to canonicalize path", path, errno);
        n = (ssize_t)strlen(real);
    }
    blocked = blocked_prefix((struct str){ real, (size_t)n });
    if (blocked)
        return err_set(err, ERR_INVALID, "Path resolves to blocked directory %s (via symlink)", blocked);
    if (!is_wasm((struct str){ real, (size_t)n }))
        return err_set(err, ERR_INVALID, "Symlink target must be a .wasm file");
    return 0;
}

static int check_kind(const struct stat *st, const char *path, struct err *err)
{
    if (!S_ISREG(st->st_mode))
        return err_set(err, ERR_INVALID, "Module file path must name a regular file, got: %.300s", path);
    if (st->st_size == 0)
        return err_set(err, ERR_INVALID, "Module file size cannot be 0");
    if ((uint64_t)st->st_size > PLUGIN_FILE_MAX)
        return err_set(err, ERR_LIMIT, "Module file size cannot exceed %u bytes, got: %llu", PLUGIN_FILE_MAX,
                       (unsigned long long)st->st_size);
    return 0;
}

/* A file that grows meanwhile stops at the bound. */
static int read_all(int fd, const char *path, size_t expected, struct buf *out, struct err *err)
{
    for (;;) {
        char *at = buf_reserve(out, out->n == 0 ? expected + 1 : (1u << 20));
        ssize_t n;

        if (!at)
            return err_set(err, ERR_NOMEM, "Failed to read file %.300s: %s", path, err_text(ERR_NOMEM));
        n = read(fd, at, out->cap - out->n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return os_error(err, "Failed to read file", path, errno);
        if (n == 0)
            return 0;
        out->n += (size_t)n;
        if (out->n > PLUGIN_FILE_MAX)
            return err_set(err, ERR_LIMIT, "Module file size cannot exceed %u bytes", PLUGIN_FILE_MAX);
    }
}

static int hash(struct str bytes, char out[65], struct err *err)
{
    unsigned char digest[32];
    unsigned n = 0;

    if (EVP_Digest(bytes.p, bytes.n, digest, &n, EVP_sha256(), NULL) != 1 || n != sizeof digest)
        return err_set(err, ERR_NOMEM, "SHA-256 could not be computed");
    for (unsigned i = 0; i < sizeof digest; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return 0;
}

static int read_file(int fd, const char *path, enum plugin_origin origin, struct plugin_file *ret, const char **ret_step,
                     struct err *err)
{
    struct stat st;
    int r;

    *ret_step = "validate_descriptor";
    if (fstat(fd, &st) < 0)
        return os_error(err, "Failed to access file", path, errno);
    r = check_kind(&st, path, err);
    if (r == 0 && origin == PLUGIN_OF_API)
        r = check_place(fd, path, err);
    if (r < 0)
        return r;
    *ret_step = "calculate_hash";
    r = read_all(fd, path, (size_t)st.st_size, &ret->bytes, err);
    return r < 0 ? r : hash(buf_str(&ret->bytes), ret->sha256, err);
}

int plugin_file_read(struct str path, enum plugin_origin origin, struct plugin_file *ret, const char **ret_step, struct err *err)
{
    struct plugin_file f = { 0 };
    struct stat st;
    char name[PLUGIN_PATH_MAX];
    int fd, r;

    *ret_step = "validate_descriptor";
    if (path.n >= sizeof name)
        return err_set(err, ERR_INVALID, "Module file path cannot be longer than %d bytes", PLUGIN_PATH_MAX - 1);
    memcpy(name, path.p, path.n);
    name[path.n] = 0;
    /* Looked at before it is opened, for opening a device may do something; and again behind it, for it may be another file by then. */
    if (stat(name, &st) < 0)
        return os_error(err, "Failed to access file", name, errno);
    r = check_kind(&st, name, err);
    if (r < 0)
        return r;
    fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        r = errno;
        *ret_step = "calculate_hash";
        return os_error(err, "Failed to open file", name, r);
    }
    r = read_file(fd, name, origin, &f, ret_step, err);
    close(fd);
    if (r < 0) {
        plugin_file_fini(&f);
        return r;
    }
    *ret = f;
    return 0;
}

void plugin_file_fini(struct plugin_file *f)
{
    buf_fini(&f->bytes);
}
